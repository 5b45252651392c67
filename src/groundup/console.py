"""What a person sees while a stage works, on standard error; standard output is left to results."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from groundup.errors import GroundupError, StoppedBySignal

LINE_WIDTH = 140  # where the output is no terminal and has no width of its own


def make_console() -> Console:
    """A console on standard error."""
    return Console(file=sys.stderr, width=None if sys.stderr.isatty() else LINE_WIDTH, highlight=False, emoji=False)


def one_line(text: str, line_break: str = " ") -> str:
    """Text with its line breaks replaced, and without characters that would steer the terminal."""
    shown = "".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text)
    return line_break.join(" ".join(line.split()) for line in shown.split("\n"))


# What to do about the faults of a machine, by their numbers.
REMEDIES = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EFBIG, errno.EDQUOT),
        "make room on the disk, then run `dvc repro`, which goes on from what is whole",
    ),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "give yourself the right, for example `chmod -R u+rwX {folder}`"),
    errno.EROFS: "run in a folder that may be written to",
}


@contextlib.contextmanager
def said_in_one_line() -> Iterator[None]:
    """Say what a user can mend in one line (each of several parameters in its own), and exit with code 1."""
    try:
        yield
    except GroundupError as error:
        for line in str(error).split("\n"):
            say(line)
        sys.exit(1)
    except OSError as error:
        where = str(error.filename or "a file")
        remedy = REMEDIES.get(error.errno or 0, "").format(folder=os.path.dirname(where) or ".")
        say(f"{where}: {error.strerror or error}" + (f"; to mend it: {remedy}" if remedy else ""))
        sys.exit(1)


@contextlib.contextmanager
def signals_said_in_one_line() -> Iterator[None]:
    """Let SIGINT and SIGTERM end the work at once, tidily, with one line and exit code 130 or 143."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise StoppedBySignal(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except StoppedBySignal as stopped:
        say(f"stopped by {stopped}, what was finished is kept; `dvc repro` begins this stage again")
        sys.exit(stopped.exit_code)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def say(line: str) -> None:
    """One line on standard error."""
    print(f"groundup: {line}", file=sys.stderr, flush=True)  # noqa: T201


@contextlib.contextmanager
def download_progress() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """A bar for each file that comes over the network; files from a mirror show none."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=make_console(), transient=True) as progress:

        def start(name: str) -> Callable[[int, int], None]:
            bar: list[TaskID] = []

            def update(done: int, total: int) -> None:
                if not bar:
                    bar.append(progress.add_task(escape(name), total=total))
                progress.update(bar[0], completed=done, total=total)

            return update

        yield start
