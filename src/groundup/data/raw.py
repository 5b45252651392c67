"""Reading the raw files that `download` brought."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from groundup.data.corpus import Documents, JoinedCorpus, read_documents
from groundup.data.instructions import Instruction, read_instructions
from groundup.data.messages import Message, read_messages
from groundup.errors import GroundupError
from groundup.files import read_json

MANIFEST_FILE = "manifest.json"

Kind = Literal["corpus", "messages", "instructions", "vocabulary", "weights"]


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
    """The three kinds of text; the documents, of which there may be many, are read when they are asked for."""

    documents: Documents
    messages: list[Message]
    instructions: list[Instruction]


def count_rows(kind: Kind, path: Path) -> int | None:
    """Documents, messages or instructions in a file, which is thereby known to be readable; None for the rest."""
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
    try:
        files = [RawFile(**file) for file in read_json(folder / MANIFEST_FILE)["files"]]
    except (TypeError, KeyError):
        raise GroundupError(
            f"{folder / MANIFEST_FILE}: not a list of files", do="remove the folder and run `dvc repro`"
        ) from None
    return RawData(
        documents=JoinedCorpus(
            [read_documents(folder / file.file, file.name) for file in files if file.kind == "corpus"]
        ),
        messages=[row for file in files if file.kind == "messages" for row in read_messages(folder / file.file)],
        instructions=[
            row for file in files if file.kind == "instructions" for row in read_instructions(folder / file.file)
        ],
    )
