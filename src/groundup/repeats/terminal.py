"""Results of repeated runs in a terminal."""

import os
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from groundup.console import LINE_WIDTH
from groundup.repeats.figures import SeedsResult
from groundup.repeats.words import cells, headings, sentences, what_was_run


def print_seeds(result: SeedsResult) -> None:
    """Print every figure over the seeds, and what the differences amount to."""
    rows = [cells(key, each) for key, each in result.figures.items()]
    print_table(what_was_run(result), headings(result), rows, sentences(result))


def print_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], said: Iterable[str], right_from: int = 1
) -> None:
    """Print a table on standard output, with sentences behind it.

    Args:
        right_from: the first column that holds numbers.
    """
    knows_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if knows_width else LINE_WIDTH, highlight=False, emoji=False)
    table = Table()
    for place, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if place >= right_from else "left")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(Text(title))
    console.print(table)
    for sentence in said:
        console.print(Text(f"- {sentence}"))
