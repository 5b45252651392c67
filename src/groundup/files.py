"""Writing files so that a reader sees the old content or the new, never half of it."""

import codecs
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from groundup.errors import GroundupError

BLOCK_BYTES = 1 << 20  # of a file that are held at a time


@contextlib.contextmanager
def file_written_atomically(path: Path) -> Iterator[BinaryIO]:
    """Give a file under a temporary name to write to; it takes the place of `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with named_in_errors(path):
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)  # mkstemp makes files only their owner can read
            os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def named_in_errors(path: Path) -> Iterator[None]:
    """Name the file in an error of the system that names none, as errors of writing do."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def write_bytes_atomically(path: Path, data: bytes) -> None:
    """Write a whole file under a temporary name, then rename it into place."""
    with file_written_atomically(path) as file:
        file.write(data)


def write_text_atomically(path: Path, text: str) -> None:
    write_bytes_atomically(path, text.encode())


def write_json_atomically(path: Path, value: Any) -> None:
    """Write indented JSON with a final newline; NaN and infinity are refused, since JSON has neither."""
    write_text_atomically(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_json_objects_atomically(path: Path, objects: Iterable[Mapping[str, Any]]) -> None:
    """Write what `write_json_atomically` writes of a list of objects, while holding one of them at a time."""
    with file_written_atomically(path) as file:
        before = "[\n  "
        for value in objects:
            text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
            file.write((before + text.replace("\n", "\n  ")).encode())
            before = ",\n  "
        file.write(b"[]\n" if before.startswith("[") else b"\n]\n")


def read_json_objects(path: Path) -> Iterator[dict[str, Any]]:
    """The objects that `write_json_objects_atomically` wrote, one at a time.

    Raises: GroundupError if the file is missing, or is no such list.
    """
    if not path.is_file():
        raise missing_file(path)
    lines: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            if not line.startswith(b" "):  # a bracket around all of the objects
                continue
            lines.append(line)
            if line.startswith((b"  }", b"  {}")):
                yield _json_object(b"".join(lines), path)
                lines.clear()
    if lines:
        raise _damaged(path)


def _json_object(data: bytes, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(data.rstrip(b",\n"))
    except ValueError:
        raise _damaged(path) from None
    if not isinstance(value, dict):
        raise _damaged(path)
    return value


def _damaged(path: Path) -> GroundupError:
    return GroundupError(f"{path}: a damaged list", do="remove the folder and run `dvc repro`")


def read_json(path: Path) -> Any:
    """Read a JSON file that an earlier stage or the user wrote.

    Raises: GroundupError if it is missing, not UTF-8 or not JSON.
    """
    try:
        return json.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise missing_file(path) from None
    except UnicodeDecodeError as error:
        raise GroundupError(
            f"{path}: not UTF-8 text at byte {error.start}", allowed="UTF-8", do="convert the file to UTF-8"
        ) from None
    except json.JSONDecodeError as error:
        raise GroundupError(
            f"{path}: not valid JSON at line {error.lineno}",
            got=error.msg,
            allowed="one JSON value",
            do="mend the file",
        ) from None


def missing_file(path: Path) -> GroundupError:
    return GroundupError(
        f"{path}: no such file or folder",
        do="run the stages before this one with `dvc repro`, which makes what is missing",
    )


@contextlib.contextmanager
def folder_written_atomically(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder to fill; it takes the place of `path` only if the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        replace_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_folder(new: Path, path: Path) -> None:
    """Rename `new` to `path`. The old folder is set aside first, and put back if the rename fails."""
    if not path.exists():
        os.replace(new, path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.old."))
    try:
        os.replace(path, aside / path.name)
        try:
            os.replace(new, path)
        except BaseException:
            os.replace(aside / path.name, path)
            raise
        shutil.rmtree(aside / path.name, ignore_errors=True)
    finally:
        with contextlib.suppress(OSError):  # it is kept if it holds the old folder that could not be put back
            aside.rmdir()


def sha256_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_utf8(path: Path) -> str:
    """The text of a file, line endings made `\\n`.

    Raises: GroundupError if the file is missing, empty or not UTF-8.
    """
    check_utf8(path)
    return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")


def check_utf8(path: Path) -> None:
    """Read a file through, a block at a time.

    Raises: GroundupError if the file is missing, empty or not UTF-8.
    """
    if not path.exists():
        raise missing_file(path)
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, empty = 1, True
    with path.open("rb") as file:
        blocks = iter(lambda: file.read(BLOCK_BYTES), b"")
        try:
            for number, block in enumerate(blocks):
                decoder.decode(block)
                line += block.count(b"\n")
                empty = empty and not (block if number else block.removeprefix(codecs.BOM_UTF8)).strip()
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            line += error.object[: error.start].count(b"\n")
            raise GroundupError(
                f"{path}: line {line} is not UTF-8 text",
                got=f"byte 0x{error.object[error.start]:02x}",
                allowed="UTF-8",
                do=f"convert it, for example `iconv -f latin1 -t utf-8 {path}`",
            ) from None
    if empty:
        raise GroundupError(f"{path}: the file is empty", do="give a file with text in it")


class FileParts:
    """A file that is read where and when it is asked for; it is closed when nobody can ask any more.

    Raises: GroundupError if the file is missing.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            raise missing_file(path) from None
        weakref.finalize(self, self._file.close)

    def read(self, start: int, end: int) -> bytes:
        """The bytes of a part."""
        self._file.seek(start)
        return self._file.read(end - start)

    def blocks(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes of a part, some at a time."""
        for place in range(start, end, BLOCK_BYTES):
            yield self.read(place, min(place + BLOCK_BYTES, end))


def decoded(blocks: Iterable[bytes]) -> Iterator[str]:
    """The text of UTF-8 bytes that come in blocks, which may end within a character."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    for block in blocks:
        yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


def with_plain_line_ends(pieces: Iterable[str]) -> Iterator[str]:
    """The text of the pieces, line endings made `\\n`."""
    held = ""  # a line ending may stand on both sides of a border
    for piece in pieces:
        text = held + piece
        held = "\r" if text.endswith("\r") else ""
        yield text.removesuffix(held).replace("\r\n", "\n")
    yield held


def whole_characters(text: str, where: str) -> str:
    """The text, if UTF-8 can hold it: JSON can spell half a character, such as `\\ud83d`.

    Raises: GroundupError if it cannot.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise GroundupError(
            f"{where} holds half a character",
            got=text.encode("ascii", "backslashreplace").decode(),
            do="mend the text or remove the row",
        ) from None
    return text
