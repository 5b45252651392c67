"""Files of figures: metrics and tables that `dvc metrics` and `dvc plots` understand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.errors import GroundupError
from groundup.files import missing_file, write_json_atomically, write_text_atomically

if TYPE_CHECKING:  # the light stages write metrics too, and must not wait for torch
    from groundup.train.loop import Outcome

SIGNIFICANT_DIGITS = 6  # beyond these, figures differ between machines and say nothing
TRAIN_FILE, VALIDATION_FILE, METRICS_FILE = "train.csv", "validation.csv", "metrics.json"


def rounded(value: Any) -> Any:
    """Figures as files show them; a number that JSON does not know becomes null."""
    if isinstance(value, Mapping):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else None
    return value


def write_metrics(path: Path, figures: Mapping[str, Any]) -> None:
    """A metrics file for `dvc metrics`."""
    write_json_atomically(path, rounded(figures))


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """A CSV file for `dvc plots`.

    Args:
        columns: those of the header, where there may be no rows to tell them.
    """
    import pandas as pd

    frame = pd.DataFrame([rounded(row) for row in rows], columns=columns)
    write_text_atomically(path, frame.to_csv(index=False, lineterminator="\n"))


def read_table(path: Path) -> list[dict[str, float]]:
    """A CSV file of numbers that `write_table` wrote.

    Raises: GroundupError if it is missing or damaged.
    """
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row with more fields than the header
            frame = pd.read_csv(path, index_col=False).astype(float)
        if frame.isna().any(axis=None):
            raise ValueError("a field is missing")
        rows: list[dict[str, float]] = frame.to_dict("records")
    except FileNotFoundError:
        raise missing_file(path) from None
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning):
        raise GroundupError(f"{path}: not a table of numbers", do="run `dvc repro` to write it again") from None
    return rows


def write_training_report(folder: Path, outcome: Outcome, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Curves and metrics of one training.

    Returns: the metrics.
    """
    write_table(folder / TRAIN_FILE, [vars(row) for row in outcome.train_rows], outcome.train_columns)
    write_table(folder / VALIDATION_FILE, outcome.validation_rows)
    metrics: dict[str, Any] = rounded(outcome.metrics() | dict(extra))
    write_metrics(folder / METRICS_FILE, metrics)
    return metrics


def training_samples(outcome: Outcome) -> str:
    """The samples of the log as one text."""
    return "\n\n".join(f"--- step {step}\n{text}" for step, text in outcome.samples) + "\n"
