"""What a training needs to go on after it was stopped, kept where DVC deletes nothing.

A state lies in `checkpoints/<stage>/<fingerprint>/<part>/` as one safetensors file: all tensors, and all else as JSON
in its header. Its name holds the step and the beginning of its SHA-256, so a file that was cut or changed is known by
its name. The fingerprint is of parameters, input bytes and code; a state under any other is never read.

A finished training leaves no state, with one exception. Where its schedule is such that a longer training would have
begun with the same steps, the state behind the last of these stays, under a fingerprint in which the number of steps
does not count, and a training of more steps goes on from there.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

import torch
from filelock import FileLock, Timeout
from safetensors import safe_open
from torch import Tensor

from groundup.errors import GroundupError, StoppedBySignal
from groundup.files import sha256_of_file, write_text_atomically
from groundup.signals import end_with_parent
from groundup.train.checkpoint import write_safetensors

FOLDER = Path("checkpoints")
GENERATIONS = 2  # so that one can be damaged
DIGEST_LETTERS = 16
WAIT_FOR_LOCK_S = 10.0  # as long as a trainer may take to stop whose dvc was killed
STEPS_FILE = "finished-after-steps"  # in the folder for longer trainings

# A mirror of what is done, not a part of it.
NO_TRAINING_CODE = ("groundup.tracking", "groundup.report.record")


@dataclass(frozen=True)
class State:
    """All that a training has after a step. `facts` is JSON; floats come back to the last bit."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Keeper:
    """Keeps the states of one training, the newest two.

    Args:
        interval_s: seconds between states; 0 keeps one after each step.
        longer_folder: where states lie that longer trainings may go on from; None if this one knows no such thing.
    """

    def __init__(self, folder: Path, interval_s: float, longer_folder: Path | None = None) -> None:
        self.folder, self.interval_s, self.longer_folder = folder, interval_s, longer_folder
        self.stop_signal: int | None = None
        self._may_stop_now = True
        self._last_save = time.monotonic()

    def load(self, device: torch.device | str = "cpu", shared_steps: int = 0) -> State | None:
        """The newest state that is whole; None if there is none. One that is damaged is said to be, and left alone.

        Args:
            shared_steps: up to which step the state of a shorter training is as good as one's own.
        """
        own = _newest_whole(_states_in(self.folder), device)
        if own or not self.longer_folder:
            return own
        states = [path for path in _states_in(self.longer_folder) if _step_of(path) <= shared_steps]
        return _newest_whole(states, device)

    def due(self) -> bool:
        """Whether it is time for a state, or whether the training is to stop."""
        return self.stop_signal is not None or time.monotonic() - self._last_save >= self.interval_s

    def save(self, state: State, *, for_longer: bool = False) -> None:
        """Write a state whole or not at all, then delete what is older than two.

        Args:
            for_longer: also where a longer training finds it.
        """
        facts = {"facts": json.dumps(state.facts, allow_nan=False)}
        # The own folder last: who is stopped in between does the step again, and this too.
        for folder in (self.longer_folder if for_longer else None, self.folder):
            if folder:
                _write(folder, state, facts)
        self._last_save = time.monotonic()

    @contextlib.contextmanager
    def stops_after_a_step(self) -> Iterator[None]:
        """While a training runs, a signal waits for the end of a step, whose state is then kept."""
        self._may_stop_now = False
        try:
            yield
        finally:
            self._may_stop_now = True

    @contextlib.contextmanager
    def stops_at_once(self) -> Iterator[None]:
        """While nothing is done that a state does not hold already, a signal need not wait."""
        self._may_stop_now = True
        try:
            self.stop_if_asked()
            yield
        finally:
            self._may_stop_now = False

    def stop(self, number: int) -> None:
        """Stop at once or at the end of a step, whichever loses nothing."""
        self.stop_signal = number
        if self._may_stop_now:
            raise StoppedBySignal(number)

    def stop_if_asked(self) -> None:
        if self.stop_signal is not None:
            raise StoppedBySignal(self.stop_signal)

    def newest(self) -> Path | None:
        """The file of the newest state."""
        return max(_states_in(self.folder), default=None)


def _write(folder: Path, state: State, facts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{state.step}.new"
    try:
        write_safetensors(temporary, state.tensors, facts)
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()[:DIGEST_LETTERS]
            os.fsync(file.fileno())
        os.replace(temporary, folder / f"{state.step:09d}-{digest}.safetensors")
    except OSError as error:
        raise OSError(error.errno, error.strerror, f"{folder}/{state.step:09d}") from None
    finally:
        temporary.unlink(missing_ok=True)
    for path in _states_in(folder)[:-GENERATIONS]:
        path.unlink(missing_ok=True)


def _states_in(folder: Path) -> list[Path]:
    """The files of states in the order of their steps, which their names begin with."""
    return sorted(folder.glob("*-*.safetensors"))


def _step_of(path: Path) -> int:
    return int(path.stem.split("-")[0])


def _newest_whole(paths: Sequence[Path], device: torch.device | str) -> State | None:
    for path in reversed(paths):
        if sha256_of_file(path)[:DIGEST_LETTERS] != path.stem.split("-")[1]:
            say(f"{path} is damaged, and the state before it is used")
            continue
        with safe_open(path, framework="pt", device=str(device)) as file:
            facts = json.loads((file.metadata() or {})["facts"])
            return State(_step_of(path), {name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118
    return None


class Checkpoints:
    """The states of the trainings of one stage, one keeper for each.

    Args:
        identify: gives the fingerprint of the parameters; asked for when the first training begins, when its code is
            loaded.
        steps_key: the parameter that says how many steps there are, where longer trainings may go on from shorter ones.
    """

    def __init__(
        self,
        stage_folder: Path,
        declared: Mapping[str, Any],
        identify: Callable[[Mapping[str, Any]], str],
        interval_s: float,
        steps_key: str | None = None,
    ) -> None:
        self.stage_folder, self.declared, self.identify = stage_folder, declared, identify
        self.interval_s, self.steps_key = interval_s, steps_key
        self.current: Keeper | None = None

    @cached_property
    def folder(self) -> Path:
        """Where the states of these parameters, inputs and code lie."""
        return self.stage_folder / self.identify(self.declared)

    @cached_property
    def longer_folder(self) -> Path | None:
        """Where states lie that a longer training may go on from: the number of steps is not in its name."""
        if self.steps_key is None:
            return None
        rest = {key: value for key, value in self.declared.items() if key != self.steps_key}
        return self.stage_folder / self.identify(rest)

    def part(self, name: str) -> Keeper:
        """The keeper of one training of the stage, which begins now; states that nothing can use are deleted."""
        _prune(self.stage_folder, keep=(self.folder, self.longer_folder))
        longer_folder = self.longer_folder / name if self.longer_folder else None
        self.current = Keeper(self.folder / name, self.interval_s, longer_folder)
        if self.longer_folder and not _states_in(self.current.folder):
            self._say_what_a_shorter_training_is_good_for(self.longer_folder, _states_in(self.longer_folder / name))
        return self.current

    def _say_what_a_shorter_training_is_good_for(self, folder: Path, states: Sequence[Path]) -> None:
        if not (folder / STEPS_FILE).is_file():
            return
        assert self.steps_key is not None, "there is a folder for longer trainings"
        before, now = int((folder / STEPS_FILE).read_text(encoding="utf-8")), self.declared[self.steps_key]
        if now > before and not states:
            say(
                f"{self.steps_key} was raised from {before} to {now}, and the training begins anew: a cosine leaves no "
                "state for it, as its rates depend on the last step; constant and warmup_stable_decay leave one"
            )
        elif now > before:
            say(f"{self.steps_key} was raised from {before} to {now}, and the finished training is gone on with")

    def finished(self) -> None:
        """Delete what only a stopped training needs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.longer_folder:
            write_text_atomically(self.longer_folder / STEPS_FILE, f"{self.declared[self.steps_key or '']}\n")

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """What SIGINT and SIGTERM do."""
        if self.current is None:
            raise StoppedBySignal(number)
        self.current.stop(number)


@contextlib.contextmanager
def checkpoints_of(
    stage: str,
    declared: Mapping[str, Any],
    inputs: Sequence[Path],
    interval_s: float,
    steps_key: str | None = None,
) -> Iterator[Checkpoints]:
    """Checkpoints of a stage that no other process uses, deleted when the stage has succeeded.

    SIGINT and SIGTERM let the step that runs end, keep its state, and exit with code 130 or 143.

    Args:
        declared: the stage's parameters.
        inputs: files and folders that the stage reads.
        steps_key: as for `Checkpoints`.
    Raises: GroundupError if another process trains this stage in this folder.
    """
    folder = FOLDER / stage
    with _only_one(folder):
        checkpoints = Checkpoints(
            folder, declared, lambda values: fingerprint(stage, values, inputs), interval_s, steps_key
        )
        with _signals_to(checkpoints):
            try:
                yield checkpoints
            except StoppedBySignal as stopped:
                _exit_after(stopped, folder)
        checkpoints.finished()


def fingerprint(stage: str, declared: Mapping[str, Any], inputs: Sequence[Path]) -> str:
    """A name for everything that has a say in what a training does."""
    facts = {
        "stage": stage,
        "params": declared,
        "torch": torch.__version__,
        "inputs": {str(path): sha256_of_file(path) for each in inputs for path in _files(each)},
        "code": {name: sha256_of_file(path) for name, path in _code().items()},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _files(path: Path) -> list[Path]:
    return sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]


def _code() -> dict[str, Path]:
    """The project's modules that are loaded, with their files; a stage loads the same ones in each run."""
    found = {name: Path(file) for name, module in sys.modules.copy().items() if (file := _file_of(module))}
    return {
        name: path
        for name, path in sorted(found.items())
        if (name.split(".")[0] in ("groundup", "stages") and not name.startswith(NO_TRAINING_CODE))
        or (name == "__main__" and path.parent.name == "stages")
    }


def _file_of(module: ModuleType) -> str | None:
    return getattr(module, "__file__", None)


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / "lock"), folder / "pid"
    try:
        lock.acquire(timeout=WAIT_FOR_LOCK_S)
    except Timeout:
        pid = holder.read_text(encoding="utf-8").strip() if holder.is_file() else "unknown"
        raise GroundupError(
            f"{folder}: another process trains this stage here",
            got=f"process {pid}",
            do=f"wait until it has ended, or stop it with `kill {pid}`; its state is kept",
        ) from None
    try:
        write_text_atomically(holder, f"{os.getpid()}\n")
        yield
    finally:
        lock.release()


def _prune(folder: Path, keep: Sequence[Path | None]) -> None:
    """Delete the states of trainings that had other parameters, inputs or code."""
    for old in sorted(each for each in folder.iterdir() if each.is_dir() and each not in keep):
        size = sum(path.stat().st_size for path in old.rglob("*-*.safetensors"))
        shutil.rmtree(old, ignore_errors=True)
        if size:
            say(f"{old}: deleted the state of a training with other parameters, data or code ({size / 1e6:.1f} MB)")


@contextlib.contextmanager
def _signals_to(checkpoints: Checkpoints) -> Iterator[None]:
    end_with_parent()  # if dvc is killed, stop as if by SIGTERM, and do not train on beside a new run
    before = {number: signal.signal(number, checkpoints.on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit_after(stopped: StoppedBySignal, folder: Path) -> NoReturn:
    steps = [_step_of(path) for path in folder.rglob("*-*.safetensors")]
    kept = f"the state after step {max(steps)} is kept" if steps else "no step was done"
    say(f"stopped by {stopped}, {kept}; `dvc repro` goes on from there")
    raise SystemExit(stopped.exit_code)


def say(line: str) -> None:
    """One line on standard error."""
    print(f"groundup: {line}", file=sys.stderr, flush=True)  # noqa: T201
