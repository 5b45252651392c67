"""The raw files: bringing them to `data/raw/`, and reading what lies there."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from groundup.config import DataParams
from groundup.data.catalog import Entry, Kind, entries
from groundup.data.corpus import Document, read_documents
from groundup.data.fetch import Progress, fetch, mirror_folder
from groundup.data.instructions import Instruction, read_instructions
from groundup.data.messages import Message, read_messages
from groundup.errors import GroundupError
from groundup.files import read_json, sha256_of_file, write_bytes_atomically, write_json_atomically

OWN_FOLDER = Path("data/own")
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class RawFile:
    """One line of the manifest: what a file is, and what was found in it."""

    kind: Kind
    name: str
    file: str
    licence: str
    size_bytes: int
    sha256: str
    rows: int | None


@dataclass(frozen=True)
class RawData:
    """The three kinds of text, read."""

    documents: list[Document]
    messages: list[Message]
    instructions: list[Instruction]


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
    folder: Path,
    partial_folder: Path,
    progress: Callable[[str], Progress],
) -> list[RawFile]:
    """Put every wanted file below `folder`, checked, with a manifest.

    Args:
        progress: gives, for a file's name, what is called with the bytes as they come.
    Raises: GroundupError for a name that is neither in the catalog nor a file under `data/own/`, for a file that no
        source gives, and for one that cannot be read as its kind.
    """
    files = []
    for kind, name in wanted_files(data, tokenizer):
        entry = entries(kind).get(name)
        if entry is None:
            files.append(_take_own(kind, name, folder))
        else:
            target = folder / kind / entry.file
            fetch(entry, target, partial_folder, mirror_folder(), progress(name))
            files.append(_checked(entry, target))
    write_json_atomically(folder / MANIFEST_FILE, {"files": [asdict(file) for file in files]})
    return files


def _checked(entry: Entry, path: Path) -> RawFile:
    rows = count_rows(entry.kind, path)
    if rows != entry.rows:
        raise GroundupError(
            f"{entry.name}: wrong number of rows", got=rows, allowed=str(entry.rows), do="report this as a bug"
        )
    return RawFile(
        entry.kind, entry.name, f"{entry.kind}/{entry.file}", entry.licence, entry.size_bytes, entry.sha256, rows
    )


def _take_own(kind: Kind, name: str, folder: Path) -> RawFile:
    path = Path(name)
    if "/" not in name and not path.suffix:
        raise GroundupError(
            f"data.{kind}: no such data set",
            got=name,
            allowed=f"{', '.join(entries(kind))}, or a path such as data/own/{name}.txt",
            do=f"change data.{kind}",
        )
    if not path.resolve().is_relative_to(OWN_FOLDER.resolve()):
        raise GroundupError(
            f"data.{kind}: your own files must lie in {OWN_FOLDER}/, where DVC sees when they change",
            got=name,
            do=f"copy the file there and set data.{kind} to {OWN_FOLDER}/{path.name}",
        )
    if not path.is_file():
        raise GroundupError(f"data.{kind}: no such file", got=name, do=f"put the file there or change data.{kind}")
    rows = count_rows(kind, path)
    target = folder / kind / path.name
    if target.exists():
        raise GroundupError(f"data.{kind}: two files have the same name", got=path.name, do="rename one of them")
    write_bytes_atomically(target, path.read_bytes())
    return RawFile(kind, name, f"{kind}/{path.name}", "your own", target.stat().st_size, sha256_of_file(target), rows)


def count_rows(kind: Kind, path: Path) -> int | None:
    """Documents, messages or instructions in a file, which is thereby known to be readable; None for a vocabulary."""
    if kind == "corpus":
        return len(read_documents(path, path.name))
    if kind == "messages":
        return len(read_messages(path))
    if kind == "instructions":
        return len(read_instructions(path))
    return None


def read_raw(folder: Path) -> RawData:
    """Read what `download` put into a folder.

    Raises: GroundupError if the folder is missing or one of its files is not what it should be.
    """
    files = [RawFile(**file) for file in read_json(folder / MANIFEST_FILE)["files"]]
    return RawData(
        documents=[
            document
            for file in files
            if file.kind == "corpus"
            for document in read_documents(folder / file.file, file.name)
        ],
        messages=[row for file in files if file.kind == "messages" for row in read_messages(folder / file.file)],
        instructions=[
            row for file in files if file.kind == "instructions" for row in read_instructions(folder / file.file)
        ],
    )


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Rows as one JSON object a line."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_bytes_atomically(path, text.encode("utf-8", "surrogatepass"))


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows that `write_rows` wrote.

    Raises: GroundupError if the file is missing.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise GroundupError(f"{path}: no such file", do="run the stages before this one with `dvc repro`") from None
    return [json.loads(line) for line in text.split("\n") if line]
