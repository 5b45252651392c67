"""What a person sees while a stage works, on standard error; standard output is left to results."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

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

from groundup.errors import GroundupError

LINE_WIDTH = 140  # where the output is no terminal and has no width of its own


def make_console() -> Console:
    """A console on standard error."""
    return Console(file=sys.stderr, width=None if sys.stderr.isatty() else LINE_WIDTH, highlight=False, emoji=False)


def one_line(text: str, line_break: str = " ") -> str:
    """Text with its line breaks replaced, and without characters that would steer the terminal."""
    shown = "".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text)
    return line_break.join(" ".join(line.split()) for line in shown.split("\n"))


@contextlib.contextmanager
def said_in_one_line() -> Iterator[None]:
    """Say what a user can mend in one line (each of several parameters in its own), and exit with code 1."""
    try:
        yield
    except GroundupError as error:
        for line in str(error).split("\n"):
            print(f"groundup: {line}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except OSError as error:
        print(f"groundup: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


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
