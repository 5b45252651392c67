"""A copy of the project in which the pipeline runs with other parameters, while the checkout stays as it is.

The copy has the code, the pipeline and the user's own texts, and shares DVC's cache with the checkout: what either has
made already, a download or a pretrained model, is not made again.
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout
from ruamel.yaml import YAML

from groundup.data.own import OWN_FOLDER
from groundup.errors import GroundupError, StoppedBySignal, shorten
from groundup.files import write_text_atomically
from groundup.params_file import PARAMS_FILE, parse_params
from groundup.signals import end_with_parent
from groundup.tracking.store import Store, tracking_uri

PLACE = Path(".groundup")
CODE = (Path("src/groundup"), Path("stages"))
PIPELINE = (Path("dvc.yaml"), Path(".dvcignore"), Path(".dvc/config"), Path("constraints.txt"))
LOG = Path("repro.log")
OF_A_STAGE = ("DVC_ROOT", "DVC_STAGE")  # what dvc tells the stage that it runs
LONGEST_REASON = 300

Tell = Callable[[str], None]


@contextlib.contextmanager
def only_one(root: Path) -> Iterator[None]:
    """Never two at once: each would have half the machine, and both would write to the same copies.

    Raises: GroundupError if another process is at it.
    """
    (root / PLACE).mkdir(exist_ok=True)
    lock = FileLock(root / PLACE / "repeats.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise GroundupError(
            "`groundup seeds` or `groundup curves` already runs in this folder", do="wait until it has ended"
        ) from None
    try:
        yield
    finally:
        lock.release()


def prepare_tracking() -> None:
    """Make the experiment in MLflow, so that the copies' runs stand in it beside those of the checkout."""
    store = Store()
    store.attempt(lambda: store.experiment_id)


def cache_folder(root: Path) -> Path:
    """Where DVC keeps what the pipeline of this checkout made."""
    asked = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], cwd=root, capture_output=True, text=True)
    if asked.returncode:
        raise GroundupError("dvc cannot tell where its cache is", got=asked.stderr.strip(), do="see `dvc doctor`")
    return (root / asked.stdout.strip()).resolve()


def with_changes(text: str, changes: Mapping[str, Any]) -> str:
    """The text of a `params.yaml` with other values under some dotted keys, comments kept.

    Raises: InvalidParamsError if a value is not allowed.
    """
    yaml = YAML()
    yaml.width = 4096
    document = yaml.load(text)
    for key, value in changes.items():
        *sections, name = key.split(".")
        inner = document
        for section in sections:
            inner = inner[section]
        inner[name] = value
    buffer = io.StringIO()
    yaml.dump(document, buffer)
    parse_params(YAML(typ="safe").load(buffer.getvalue()), "the repeated run")
    return buffer.getvalue()


class ProjectCopy:
    """A folder with the project's code and data and with parameters of its own."""

    def __init__(self, root: Path, folder: Path, cache: Path) -> None:
        self.root, self.folder, self.cache = root.resolve(), folder.resolve(), cache

    def refresh(self, changes: Mapping[str, Any]) -> None:
        """Make the copy what the checkout is now, but for some parameters. Results in it stay, for DVC to judge."""
        for path in PIPELINE:
            _copy(self.root / path, self.folder / path)
        for place in CODE:
            _make_alike(self.root / place, self.folder / place, _copy)
        # Own texts may be large. A link that is not symbolic keeps them below the copy's own data/own/.
        _make_alike(self.root / OWN_FOLDER, self.folder / OWN_FOLDER, _link)
        config = f"[core]\n    no_scm = true\n[cache]\n    dir = {self.cache}\n"
        _write(self.folder / ".dvc" / "config.local", config)
        text = (self.root / PARAMS_FILE).read_text(encoding="utf-8")
        _write(self.folder / PARAMS_FILE, with_changes(text, changes))

    def repro(self, *stages: str, tell: Tell) -> str | None:
        """Run what is out of date in the copy, up to some stages or to the end.

        Args:
            tell: is given the name of each stage that begins.
        Returns: None, or the line that says why it failed.
        Raises: StoppedBySignal once the stage that ran has kept its state, if a signal came.
        """
        said: list[str] = []
        with (self.folder / LOG).open("w", encoding="utf-8") as log:

            def heard(line: str) -> None:
                log.write(line)
                log.flush()
                said.append(line)
                if line.startswith("Running stage '"):
                    tell(line.split("'")[1])

            # A kill may have cut the files that DVC writes in place; `check` mends them.
            code = self._run(heard, "groundup.cli", "check") or self._run(heard, "dvc", "repro", *stages)
        return _reason(said) if code else None

    def _run(self, heard: Callable[[str], None], *module: str) -> int:
        """A Python module in the copy, with each line of its output; its exit code."""
        with _signals_to_a_group() as group:
            process = subprocess.Popen(
                [sys.executable, "-m", *module],
                cwd=self.folder,
                env=self.environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                process_group=0,  # so that dvc and its stage hear a signal at the same time, and once
                preexec_fn=end_with_parent,  # the trainer then keeps its state and ends (train/resume.py)
            )
            group.append(process.pid)
            assert process.stdout is not None, "it is a pipe"
            with process:
                for line in process.stdout:
                    heard(line)
        return process.returncode

    def environment(self) -> dict[str, str]:
        """The caller's, but with the copy's code, this Python's commands, and the checkout's store of runs."""
        values = {key: value for key, value in os.environ.items() if key not in OF_A_STAGE}
        mirror = os.environ.get("GROUNDUP_MIRROR")
        return values | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), values.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self.folder / "src"), values.get("PYTHONPATH")])),
            "MLFLOW_TRACKING_URI": tracking_uri(),
            "GROUNDUP_MIRROR": str(Path(mirror).resolve()) if mirror else "",
        }


@contextlib.contextmanager
def _signals_to_a_group() -> Iterator[list[int]]:
    """SIGINT and SIGTERM let the work in a process group end tidily, and are raised when it has ended.

    Gives the list for the group's number. A process that begins within does not ignore SIGINT, as it else would where
    this one began as a job behind a shell's `&`.
    """
    group: list[int] = []
    came: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for each in group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(each, signal.SIGINT)

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield group
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise StoppedBySignal(came[0])


def _reason(said: list[str]) -> str:
    """The line of an output that says best what went wrong."""
    lines = [" ".join(line.split()) for line in said if line.strip()]
    for beginning in ("groundup: ", "ERROR: ", ""):
        found = [line.removeprefix(beginning) for line in lines if line.startswith(beginning)]
        if found:
            return shorten(found[-1], LONGEST_REASON)
    return "it said nothing"


def _write(path: Path, text: str) -> None:
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text_atomically(path, text)


def _copy(source: Path, target: Path) -> None:
    if not target.is_file() or target.read_bytes() != source.read_bytes():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _link(source: Path, target: Path) -> None:
    """One file under two names; a copy where the file system has no such links."""
    if target.is_file() and target.samefile(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)


def _make_alike(source: Path, target: Path, bring: Callable[[Path, Path], None]) -> None:
    """Bring every file of a folder, and remove those that it has no more."""
    target.mkdir(parents=True, exist_ok=True)
    wanted = {path.relative_to(source) for path in _files(source)}
    for path in {path.relative_to(target) for path in _files(target)} - wanted:
        (target / path).unlink()
    for path in sorted(wanted):
        bring(source / path, target / path)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
