"""Bringing every wanted file to `data/raw/`: fetched, generated, or from the user's own folder."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from groundup.config import DataParams, SampleParams
from groundup.data.catalog import Entry, Generated, entries, generated
from groundup.data.fetch import Progress, fetch, mirror_folder
from groundup.data.own import refuse_outside_own_folder
from groundup.data.raw import MANIFEST_FILE, Kind, RawFile, count_rows
from groundup.data.sample.make import make_sample
from groundup.data.weights import bring_weights
from groundup.errors import GroundupError
from groundup.files import file_written_atomically, sha256_of_file, write_json_atomically


def wanted_files(data: DataParams, tokenizer: str) -> list[tuple[Kind, str]]:
    """Kind and name of each file that the parameters ask for."""
    wanted: list[tuple[Kind, str]] = [("corpus", name) for name in data.corpus]
    wanted += [("messages", data.messages), ("instructions", data.instructions)]
    if tokenizer == "gpt2":
        wanted += [("vocabulary", name) for name in entries("vocabulary")]
    return wanted


def download(
    data: DataParams,
    tokenizer: str,
    inits: Mapping[str, str],
    folder: Path,
    partial_folder: Path,
    progress: Callable[[str], Progress],
    tell: Callable[[str], None],
) -> list[RawFile]:
    """Put every wanted file below `folder`, checked, with a manifest.

    Args:
        inits: what each training begins with, by the section that says so.
        progress: gives, for a file's name, what is called with the bytes as they come.
        tell: is given what a person should know.
    Raises: GroundupError for a name that is neither in the catalog nor a file under `data/own/`, for a file that no
        source gives, and for one that cannot be read as its kind.
    """
    files = []
    for kind, name in wanted_files(data, tokenizer):
        entry = entries(kind).get(name)
        if name in generated(kind):
            files.append(_make(generated(kind)[name], data.sample, folder, progress))
        elif entry is None:
            files.append(_take_own(kind, name, folder))
        else:
            target = folder / kind / entry.file
            _refuse_second(kind, target)
            fetch(entry, target, partial_folder, mirror_folder(), progress(name))
            files.append(_checked(entry, target))
    for section, init in inits.items():
        files += bring_weights(section, init, folder / "weights", partial_folder, progress, tell)
    write_json_atomically(folder / MANIFEST_FILE, {"files": [asdict(file) for file in files]})
    return files


def _make(entry: Generated, sample: SampleParams, folder: Path, progress: Callable[[str], Progress]) -> RawFile:
    target = folder / entry.kind / entry.file
    _refuse_second(entry.kind, target)
    rows = make_sample(entry.name, sample, target, progress(entry.name))
    return RawFile(
        entry.kind,
        entry.name,
        f"{entry.kind}/{entry.file}",
        entry.licence,
        target.stat().st_size,
        sha256_of_file(target),
        rows,
    )


def _checked(entry: Entry, path: Path) -> RawFile:
    rows = count_rows(entry.kind, path)
    if rows != entry.rows:
        raise GroundupError(
            f"{entry.name}: wrong number of rows", got=rows, allowed=str(entry.rows), do="report this as a bug"
        )
    assert entry.sha256, "only weights may have none"
    return RawFile(
        entry.kind, entry.name, f"{entry.kind}/{entry.file}", entry.licence, entry.size_bytes, entry.sha256, rows
    )


def _refuse_second(kind: Kind, target: Path) -> None:
    if target.exists():
        raise GroundupError(f"data.{kind}: two files have the same name", got=target.name, do="rename your own one")


def _take_own(kind: Kind, name: str, folder: Path) -> RawFile:
    path = Path(name)
    if "/" not in name and not path.suffix:
        raise GroundupError(
            f"data.{kind}: no such data set",
            got=name,
            allowed=f"{', '.join([*generated(kind), *entries(kind)])}, or a path such as data/own/{name}.txt",
            do=f"change data.{kind}",
        )
    refuse_outside_own_folder(path, f"data.{kind}")
    if not path.is_file():
        raise GroundupError(f"data.{kind}: no such file", got=name, do=f"put the file there or change data.{kind}")
    rows = count_rows(kind, path)
    target = folder / kind / path.name
    _refuse_second(kind, target)
    with path.open("rb") as own, file_written_atomically(target) as file:
        shutil.copyfileobj(own, file)
    return RawFile(kind, name, f"{kind}/{path.name}", "your own", target.stat().st_size, sha256_of_file(target), rows)
