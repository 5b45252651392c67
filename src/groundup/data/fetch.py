"""Bringing verified bytes: from a mirror folder, else over the network, never trusted before they are checked.

A broken transfer is kept under its hash and goes on where it stopped. A file appears under its own name only after
its size and hash have been found right.
"""

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import requests

from groundup.data.catalog import Entry, Source
from groundup.errors import GroundupError, shorten
from groundup.files import named_in_errors, sha256_of_file

MIRROR_VARIABLE = "GROUNDUP_MIRROR"
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 10.0, 30.0
CHUNK_BYTES = 1 << 16
ARCHIVE_LIMIT_BYTES = 64 << 20  # of an archive around a file; the file's own size is in the catalog

# Called with (bytes here so far, bytes in all).
Progress = Callable[[int, int], None]


class SourceFailedError(Exception):
    """One source did not give the file; the next may."""


def mirror_folder() -> Path | None:
    """The folder named by GROUNDUP_MIRROR, or None."""
    name = os.environ.get(MIRROR_VARIABLE)
    return Path(name).expanduser() if name else None


def fetch(entry: Entry, target: Path, partial_folder: Path, mirror: Path | None, progress: Progress) -> str:
    """Bring one file of the catalog to `target` and say where it came from.

    Args:
        partial_folder: where unfinished transfers wait for the next try.
        mirror: a folder asked first; it is checked like any other source.
    Raises: GroundupError naming every source that was tried and why it failed; `target` is then untouched.
    """
    partial_folder.mkdir(parents=True, exist_ok=True)
    failures = []
    if mirror is not None:
        try:
            _from_mirror(entry, mirror, target)
            return str(mirror / entry.file)
        except SourceFailedError as failure:
            failures.append(str(failure))
    for source in entry.sources:
        try:
            _from_url(entry, source, target, partial_folder, progress)
            return source.url
        except SourceFailedError as failure:
            failures.append(f"{source.url}: {failure}")
    raise GroundupError(
        f"{entry.name}: no source gave the file: {' | '.join(shorten(failure, 300) for failure in failures)}",
        allowed=f"{entry.size_bytes} bytes with sha256 {entry.sha256[:12]}…"
        if entry.sha256
        else f"at most {entry.size_bytes} bytes",
        do=f"connect to the internet, or set {MIRROR_VARIABLE} to a folder that holds {entry.file}",
    ) from None


def _from_mirror(entry: Entry, mirror: Path, target: Path) -> None:
    path = mirror / entry.file
    if not path.is_file():
        raise SourceFailedError(f"{path}: no such file in the mirror")
    _check(path, entry, str(path))
    _put(path, target)


def _from_url(entry: Entry, source: Source, target: Path, partial_folder: Path, progress: Progress) -> None:
    key = hashlib.sha256(f"{entry.sha256} {source.url}".encode()).hexdigest()[:16]
    partial = partial_folder / f"{key}.part"
    if source.member is None:
        _transfer(source.url, partial, entry.size_bytes, progress)
        try:
            _check(partial, entry, "the transfer")
        except SourceFailedError:
            partial.unlink()  # wrong bytes are no start for the next try
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(partial, target)
        return
    _transfer(source.url, partial, ARCHIVE_LIMIT_BYTES, progress)
    extracted = partial.with_suffix(".member")
    try:
        extract_member(partial, source.member, extracted, entry.size_bytes)
        _check(extracted, entry, f"{source.member} in the archive")
        _put(extracted, target)
    finally:
        partial.unlink()
        extracted.unlink(missing_ok=True)


def _transfer(url: str, partial: Path, limit_bytes: int, progress: Progress) -> None:
    """Read a URL into `partial`, going on behind the bytes that are already there.

    Raises: SourceFailedError if the server fails, sends more than `limit_bytes`, or stops early.
    """
    have = partial.stat().st_size if partial.exists() else 0
    # Without "identity" a server may compress, and the bytes that were kept would not be bytes of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S)) as response:
            if response.status_code == 416 and have:  # nothing behind what we have: it was whole already
                return
            response.raise_for_status()
            if response.status_code != 206:
                have = 0  # the server sends the file from its start
            expected = int(response.headers.get("Content-Length", "0")) + have
            if expected > limit_bytes:
                raise SourceFailedError(f"offers {expected} bytes, more than the {limit_bytes} allowed")
            with named_in_errors(partial), partial.open("ab" if have else "wb") as file:
                for chunk in response.iter_content(CHUNK_BYTES):
                    have += len(chunk)
                    if have > limit_bytes:
                        break
                    file.write(chunk)
                    progress(have, expected or limit_bytes)
    except (requests.RequestException, ValueError) as error:
        raise SourceFailedError(_reason(error)) from None
    if have > limit_bytes:
        partial.unlink()
        raise SourceFailedError(f"sent more than the {limit_bytes} bytes allowed")
    if have < expected:
        raise SourceFailedError(f"stopped after {have} of {expected} bytes; the next try goes on from there")


def _reason(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"HTTP status {error.response.status_code}"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off; the next try goes on from there"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return f"{type(error).__name__}: {shorten(str(error))}"


def extract_member(archive: Path, member: str, target: Path, limit_bytes: int) -> None:
    """Write one member of a zip archive to `target`, and nothing anywhere else.

    Raises: SourceFailedError if it is no zip archive, lacks the member, holds a link or a path that leads out of its
        folder, or if the member unpacks to more than `limit_bytes`.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for info in opened.infolist():
                path = PurePosixPath(info.filename.replace("\\", "/"))
                if path.is_absolute() or ".." in path.parts:
                    raise SourceFailedError(
                        f"the archive holds a path that leads out of its folder: {shorten(info.filename)}"
                    )
                if (info.external_attr >> 16) & 0o170000 == 0o120000:
                    raise SourceFailedError(f"the archive holds a link: {shorten(info.filename)}")
            with opened.open(member) as source, named_in_errors(target), target.open("wb") as file:
                written = 0
                while chunk := source.read(CHUNK_BYTES):
                    written += len(chunk)
                    if written > limit_bytes:
                        raise SourceFailedError(f"{member} unpacks to more than the {limit_bytes} bytes allowed")
                    file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise SourceFailedError("not a zip archive, or a damaged or an encrypted one") from None
    except KeyError:
        raise SourceFailedError(f"the archive holds no {member}") from None


def _check(path: Path, entry: Entry, what: str) -> None:
    size = path.stat().st_size
    if entry.sha256 is None:  # whoever asked for it looks at what it is
        if size > entry.size_bytes:
            raise SourceFailedError(f"{what} has {size} bytes, more than the {entry.size_bytes} allowed")
        return
    if size != entry.size_bytes:
        raise SourceFailedError(f"{what} has {size} bytes, not {entry.size_bytes}")
    digest = sha256_of_file(path)
    if digest != entry.sha256:
        raise SourceFailedError(f"{what} has sha256 {digest[:12]}…, not {entry.sha256[:12]}…")


def _put(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.new")
    try:
        with named_in_errors(target):
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
