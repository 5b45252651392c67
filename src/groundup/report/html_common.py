"""What all parts of the page share: the files they are made from, how numbers are written, and the loss curves."""

import csv
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from groundup.files import read_json
from groundup.report import say
from groundup.report.charts import Axis, Series, line_chart
from groundup.report.tables import METRICS_FILE, TRAIN_FILE, VALIDATION_FILE, read_table

Figures = Mapping[str, Any]

TRAININGS = {"pretrain": "pretraining", "finetune_cls": "classifier", "finetune_instruct": "instruction follower"}
BASELINES = say.BASELINES | {
    "unigram": "how frequent each token is",
    "ngram": "counting tokens in a row (Kneser-Ney)",
    "xz": "xz, after the train text",
    "zstd": "zstd, after the train text",
    "xz_alone": "xz, on its own",
    "zstd_alone": "zstd, on its own",
    "bzip2_alone": "bzip2, on its own",
}


@dataclass(frozen=True)
class Files:
    """What the stages left, read from where DVC tracks it; what a run has not made is empty.

    Args:
        reports: holds a folder for each stage.
        folder: holds what the evaluation wrote.
    """

    reports: Path
    folder: Path

    def json(self, path: Path, default: Any = None) -> Any:
        return read_json(path) if path.is_file() else default

    def rows(self, path: Path) -> list[dict[str, str]]:
        """A table of words and numbers."""
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def samples(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.json(self.folder / name, [])
        return rows

    def metrics(self, stage: str) -> dict[str, Any]:
        figures: dict[str, Any] = self.json(self.reports / stage / METRICS_FILE, {})
        return figures


NARROW = "\N{NARROW NO-BREAK SPACE}"


def percent(value: float | None, places: int = 1) -> str:
    """A share; its sign never stands alone on the next line."""
    return "not known" if value is None else f"{100 * value:.{places}f}{NARROW}%"


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def digits(value: float | None, places: int = 3) -> str:
    return "not known" if value is None else f"{value:.{places}f}"


def pretty(value: Any) -> str:
    """A setting or figure of any kind, as it stands in its file."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(pretty, value)) or "none"
    return str(value)


def interval(figures: Figures, key: str, written: Callable[[float], str]) -> str:
    """From where to where a figure is likely to be; empty where that is not known."""
    low, high = figures.get(f"{key}_low"), figures.get(f"{key}_high")
    return "" if low is None or high is None else f"{written(low)} to {written(high)}"


def baseline_name(key: str) -> str:
    return BASELINES.get(key, key.replace("_", " "))


def baselines_with(figures: Figures, key: str) -> dict[str, Figures]:
    """The baselines that have a figure, by the names people read."""
    found = figures.get("baselines", {})
    return {baseline_name(name): row for name, row in found.items() if isinstance(row, Mapping) and key in row}


def bounds(figures: Figures, key: str) -> tuple[float | None, float | None]:
    return figures.get(f"{key}_low"), figures.get(f"{key}_high")


def loss_chart(files: Files, stage: str) -> Markup | None:
    """Training and validation loss by step; the kept weights are ringed."""
    paths = [files.reports / stage / name for name in (TRAIN_FILE, VALIDATION_FILE)]
    if not all(path.is_file() for path in paths):
        return None
    train, validation = ([(row["step"], row["loss_nats"]) for row in read_table(path)] for path in paths)
    if not train and not validation:
        return None
    losses = [loss for _, loss in (*train, *validation) if loss > 0]
    log = bool(losses) and max(losses) > 8 * min(losses)
    kept = min(validation, key=lambda point: point[1]) if validation else None
    said = f"Loss of {TRAININGS[stage]} by optimizer step."
    if train:
        said += f" Training falls from {train[0][1]:.3g} to {train[-1][1]:.3g} nats."
    if kept:
        said += f" The lowest validation loss is {kept[1]:.3g} at step {kept[0]:.0f}."
    return line_chart(
        [Series("training", train, "train"), Series("validation", validation, "validation", dots=len(validation) < 30)],
        Axis("optimizer step", 0.0, max(step for step, _ in (*train, *validation))),
        Axis("nats per token" if stage != "finetune_cls" else "nats per message", log=log),
        said,
        mark=(kept, f"kept: {kept[1]:.3g}") if kept else None,
    )
