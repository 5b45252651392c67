"""Where a user's own files must lie."""

from pathlib import Path

from groundup.errors import GroundupError

OWN_FOLDER = Path("data/own")


def refuse_outside_own_folder(path: Path, key: str) -> None:
    """Stop if DVC would not see when a file changes.

    Args:
        key: of params.yaml, that names the file.
    Raises: GroundupError if the file is not below `data/own/`.
    """
    if not path.resolve().is_relative_to(OWN_FOLDER.resolve()):
        raise GroundupError(
            f"{key}: your own files must lie in {OWN_FOLDER}/, where DVC sees when they change",
            got=str(path),
            do=f"copy it there and set {key} to {OWN_FOLDER}/{path.name}",
        )
