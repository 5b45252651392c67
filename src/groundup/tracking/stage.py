"""What a stage tells of itself, and the process beside it that hears and writes it to MLflow.

Importing MLflow and opening its store takes three seconds, which that process spends while the stage works.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from groundup.config import Params
from groundup.errors import StoppedBySignal
from groundup.tracking.recorder import FAILED, FINISHED, KILLED
from groundup.tracking.store import OFF, CurveRow, flat_figures, tracking_uri

EXITS_BY_SIGNAL = (128 + signal.SIGINT, 128 + signal.SIGTERM)


class StageRun:
    """One stage as MLflow is to see it. It is an observer of trainings.

    Args:
        tell: takes what there is to tell, as plain values, and does not raise.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self._tell = tell

    def started(self, max_steps: int) -> None:
        pass

    def resumed(self, outcome: Any) -> None:
        """What was logged before the training was stopped; steps that MLflow has already are left alone."""
        for row in outcome.train_rows:
            self._tell("row", _train_figures(row))
        for row in outcome.validation_rows:
            self.validated(row)
        for step, text in outcome.samples:
            self.sampled(step, text)
        self._tell("rows end")

    def logged(self, row: Any, tokens_per_s: float) -> None:
        self._tell("row", {**_train_figures(row), "tokens_per_s": tokens_per_s})

    def validated(self, row: dict[str, float]) -> None:
        self._tell(
            "row", {key if key in ("step", "tokens") else f"validation_{key}": value for key, value in row.items()}
        )

    def sampled(self, step: int, text: str) -> None:
        self._tell("sample", step, text)

    def ended(self, outcome: Any) -> None:
        self._tell("rows end")

    def log_figures(self, figures: Mapping[str, Any]) -> None:
        """The stage's metrics file, its sections joined by dots."""
        self._tell("figures", flat_figures(figures))

    def log_path(self, path: Path) -> None:
        """A file, or a folder under its own name, as an artifact; it must stay as it is until the stage ends."""
        self._tell("path", path)

    def log_report(self, page: Path) -> None:
        """The report as an artifact, with a link to it on the run."""
        self._tell("report", page)

    def log_pipeline(
        self,
        curves: Mapping[str, Sequence[CurveRow]],
        figures: Mapping[str, float],
        artifacts: Sequence[Path],
        page: Path | None,
    ) -> None:
        """What `pipeline.record_pipeline` writes onto the run of the whole pipeline."""
        self._tell("pipeline", curves, figures, artifacts, page)


def _train_figures(row: Any) -> dict[str, float]:
    return {
        "step": row.step,
        "tokens": row.tokens,
        "train_loss_nats": row.loss_nats,
        "learning_rate": row.learning_rate,
        "grad_norm": row.grad_norm,
    }


class Listener(Protocol):
    """Who writes down what a stage tells. The first message is what a `Recorder` is made of, the others it hears."""

    def tell(self, *message: Any) -> None: ...
    def wait(self) -> None: ...


@contextlib.contextmanager
def track_stage(
    stage: str, params: Params, declared: Mapping[str, Any], listener: Listener | None = None
) -> Iterator[StageRun]:
    """A child run of the pipeline's run, ended as the stage ends.

    Args:
        declared: the parameters that the stage reads, under dotted keys.
        listener: a process beside this one if none is given.
    """
    if tracking_uri() == OFF:
        yield StageRun(lambda *message: None)
        return
    listener = listener or ListenerProcess()
    listener.tell(stage, asdict(params), declared)
    status = FINISHED
    try:
        yield StageRun(listener.tell)
    except BaseException as error:
        status = status_of(error)
        raise
    finally:
        listener.tell("end", status)
        listener.wait()


def _plain(value: Any) -> Any:
    """Paths and numbers of other libraries as JSON has them."""
    return str(value) if isinstance(value, Path) else float(value)


def status_of(error: BaseException) -> str:
    """How a run ends whose stage ended with this; a training that a signal stops exits once its state is kept."""
    by_signal = isinstance(error, StoppedBySignal) or (isinstance(error, SystemExit) and error.code in EXITS_BY_SIGNAL)
    return KILLED if by_signal else FAILED


class ListenerProcess:
    """The process that writes to MLflow, at the other end of a pipe.

    Ctrl-C reaches all processes of a terminal. This one must outlive the stage by a moment, to write that it was
    stopped, so it is born with such signals blocked; it ends when the pipe does.
    """

    def __init__(self) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "groundup.tracking"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        assert self._process.stdin is not None
        self._pipe = self._process.stdin
        self._hears = True

    def tell(self, *message: Any) -> None:
        """Send a message, or nothing once the process is gone, which is said once."""
        if not self._hears:
            return
        try:
            self._pipe.write(json.dumps(message, default=_plain).encode() + b"\n")
            self._pipe.flush()
        except OSError:
            self._hears = False
            print(  # noqa: T201
                "groundup: the process that writes to MLflow is gone, the stage goes on without; "
                "`groundup track` fills the gap later",
                file=sys.stderr,
            )

    def wait(self) -> None:
        """Until all is written; the process itself does not wait long for a server."""
        with contextlib.suppress(OSError):
            self._pipe.close()
        self._process.wait()
