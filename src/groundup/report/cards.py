"""A card for each model: what it was made from, what it is for, how good it is, and what it cannot do."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from groundup.files import read_json, write_text_atomically
from groundup.report.html import ANSWER_FIGURES, sources
from groundup.report.html_common import (
    Figures,
    Files,
    baselines_with,
    count,
    digits,
    interval,
    percent,
    pretty,
)
from groundup.report.say import classifier_columns
from groundup.report.tables import METRICS_FILE
from groundup.report.write import literal

CARDS_FOLDER = "cards"

# The settings of a training that say most about it, in the order they are told.
TOLD = (
    *("init", "max_steps", "language_steps", "language_weight", "spelled_out", "pooling", "epochs", "batch_size"),
    *("grad_accum_steps", "learning_rate", "schedule"),
    *("optimizer", "weight_decay", "dropout", "trainable", "class_balance", "threshold_for", "loss_on", "precision"),
)


def write_cards(reports: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the three cards into `cards/` of a folder.

    Args:
        reports: what all stages have written.
        settings: the values of `params.yaml` under dotted keys.
    Raises: GroundupError if a file that every run has is missing or damaged.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("groundup.report", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"literal": literal, "count": count, "percent": percent, "digits": digits, "pretty": pretty}
    template = environment.get_template("card.md.jinja")
    summary = read_json(reports / "summary.json")
    split = read_json(reports / "split" / METRICS_FILE)
    files = Files(reports, folder)
    for name, (stage, kinds, rows) in {
        "language_model": ("pretrain", ("corpus",), language_rows(summary["language_model"])),
        "classifier": ("finetune_cls", ("messages", "corpus"), classifier_rows(summary["classifier"])),
        "instruct": ("finetune_instruct", ("instructions", "corpus"), instruct_rows(summary["instruct"])),
    }.items():
        text = template.render(
            model=name,
            figures=summary[name],
            rows=rows,
            sources=[each for kind in kinds for each in sources(settings) if each["kind"] == kind],
            sides={kind: split.get(kind, {}).get("texts", {}) for kind in kinds},
            shape=[(key, settings[f"model.{key}"]) for key in ("n_layers", "n_heads", "d_model", "context_length")],
            parameters=files.metrics("pretrain").get("parameters"),
            training=files.metrics(stage),
            told=[(f"{stage}.{key}", settings[f"{stage}.{key}"]) for key in TOLD if f"{stage}.{key}" in settings],
            confidence=settings.get("evaluate.confidence"),
            seed=settings.get("seed"),
        )
        write_text_atomically(folder / CARDS_FOLDER / f"{name}.md", text)


Row = tuple[str, str, str, str]  # what is measured, the figure, its likely range, and what it is compared with


def language_rows(figures: Figures) -> list[Row]:
    compared = [
        f"{name} {digits(row['bits_per_byte'])}" for name, row in baselines_with(figures, "bits_per_byte").items()
    ]
    if "floor_bits_per_byte" in figures:
        compared.append(f"floor {digits(figures['floor_bits_per_byte'])}")
    likely = interval(figures, "bits_per_byte", digits)
    rows = [("bits per byte", digits(figures["bits_per_byte"]), likely, ", ".join([*compared, "plain bytes 8"]))]
    rows.append(("perplexity per token", digits(figures["perplexity"], 2), interval(figures, "perplexity", digits), ""))
    stories = figures.get("stories", {})
    for words, key in (("documents that keep all rules", "keep_rules"), ("documents that are copies", "copies")):
        if key in stories:
            rows.append((words, percent(stories[key]), interval(stories, key, percent), f"of {stories['written']}"))
    return rows


def classifier_rows(figures: Figures) -> list[Row]:
    rows = []
    for heading, key, written in classifier_columns(figures):
        if key == "threshold" or key not in figures:
            continue
        others = baselines_with(figures, key)
        compared = [f"{name} {written(row[key])}" for name, row in others.items()]
        if key == "accuracy" and "best_possible" in figures:
            compared.append(f"best possible {written(figures['best_possible'])}")
        rows.append((heading, written(figures[key]), interval(figures, key, written), ", ".join(compared)))
    return rows


def instruct_rows(figures: Figures) -> list[Row]:
    other = figures.get("from_random", {})

    def compared(key: str, written: Callable[[float], str]) -> str:
        return f"from random weights {written(other[key])}" if key in other else ""

    return [
        (words, written(figures[key]), interval(figures, key, written), compared(key, written))
        for words, key, written in ANSWER_FIGURES
        if isinstance(figures.get(key), float | int)
    ]
