"""Mending what a kill can leave of the two files that DVC writes in place: its lock file, and its list of busy paths.

DVC 3.67 empties `dvc.lock` and then writes it anew. Whoever kills it in between leaves a file that no later `dvc repro`
reads. Nothing is lost with it: DVC's cache knows the results of every stage that has run, and fills it again.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from zc.lockfile import LockError, LockFile

from groundup.errors import GroundupError
from groundup.files import write_bytes_atomically

LOCK, TEMPORARY = Path("dvc.lock"), Path(".dvc") / "tmp"
DAMAGED = Path(".groundup") / "dvc.lock.damaged"


def mend_dvc_files() -> list[str]:
    """Set a cut `dvc.lock` aside for the committed one, or for none, and remove a cut list of busy paths.

    Nothing is touched while another DVC works here.

    Returns: what was done, a line for each.
    """
    if not TEMPORARY.is_dir():
        return []
    try:
        only_one = LockFile(str(TEMPORARY / "lock"))  # DVC's own lock, which it holds while it writes
    except LockError:
        return []
    try:
        return list(_mended())
    finally:
        only_one.close()


def _mended() -> Iterator[str]:
    if LOCK.is_file() and not _is_whole_lock(LOCK):
        DAMAGED.parent.mkdir(exist_ok=True)
        os.replace(LOCK, DAMAGED)
        committed = _committed_lock()
        if committed is not None:
            write_bytes_atomically(LOCK, committed)
        yield (
            f"{LOCK} was cut, as it is when dvc is killed while it writes it; it lies in {DAMAGED} now, "
            f"{'the committed one is back' if committed else 'a new one is made'}, and DVC's cache keeps what was done"
        )
    busy = TEMPORARY / "rwlock"
    if busy.is_file() and not _is_json(busy):
        busy.unlink()
        yield f"{busy} was cut, as it is when dvc is killed while it writes it, and is removed"


def _is_whole_lock(path: Path) -> bool:
    """Whether DVC would read the lock file, by DVC's own schema."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    from groundup.params_file import read_yaml

    try:
        COMPILED_LOCKFILE_SCHEMA(read_yaml(path))
    except (GroundupError, Invalid):
        return False
    return True


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def _committed_lock() -> bytes | None:
    """The lock file of the last commit; None outside a git checkout, or where it has none."""
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout
