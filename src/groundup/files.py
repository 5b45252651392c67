"""Writing files so that a reader sees the old content or the new, never half of it."""

import codecs
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from groundup.errors import GroundupError


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
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise missing_file(path) from None
    if not data.removeprefix(codecs.BOM_UTF8).strip():
        raise GroundupError(f"{path}: the file is empty", do="give a file with text in it")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise GroundupError(
            f"{path}: line {line} is not UTF-8 text",
            got=f"byte 0x{data[error.start]:02x}",
            allowed="UTF-8",
            do=f"convert it, for example `iconv -f latin1 -t utf-8 {path}`",
        ) from None
    return text.replace("\r\n", "\n")


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
