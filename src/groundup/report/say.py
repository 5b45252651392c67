"""What the report and the terminal both say in words, and which rows they show."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

HTML_FILE = "report.html"  # below reports/

Row = Mapping[str, Any]


def percent(value: float) -> str:
    """A share as people read it."""
    return f"{100 * value:.1f} %"


def four_places(value: float) -> str:
    return f"{value:.4f}"


def three_places(value: float) -> str:
    return f"{value:.3f}"


# What a table of classifiers shows: the heading, the figure's key, and how it is written.
Column = tuple[str, str, Callable[[float], str]]
OF_TWO_CLASSES: tuple[Column, ...] = (
    ("accuracy", "accuracy", percent),
    ("precision", "precision", percent),
    ("recall", "recall", percent),
    ("F1", "f1", three_places),
    ("ROC AUC", "roc_auc", four_places),
    ("threshold", "threshold", three_places),
)
OF_MANY_CLASSES: tuple[Column, ...] = (
    ("accuracy", "accuracy", percent),
    ("macro precision", "macro_precision", percent),
    ("macro recall", "macro_recall", percent),
    ("macro F1", "macro_f1", three_places),
    ("macro ROC AUC", "macro_roc_auc", four_places),
)


def classifier_columns(figures: Row) -> tuple[Column, ...]:
    """The columns that these figures of a classifier fill."""
    return OF_MANY_CLASSES if "per_class" in figures else OF_TWO_CLASSES


def f1_of(figures: Row) -> float:
    """The F1 that stands for a classifier: of the positive one of two classes, or the mean over more."""
    return float(figures["macro_f1"] if "macro_f1" in figures else figures["f1"])


def unseen_classes(figures: Row) -> list[str]:
    """Of more than two classes those that no test row has."""
    return [name for name, row in figures.get("per_class", {}).items() if not row["support"]]


def gain_words(instruct: Mapping[str, Any]) -> str:
    """What pretraining buys the instruction follower, in a sentence or two; it was trained from random weights too."""
    other = instruct["from_random"]
    said = (
        f"Pretraining buys {100 * (instruct['exact_match'] - other['exact_match']):+.1f} points: "
        f"{percent(instruct['exact_match'])} of the answers are right, and {percent(other['exact_match'])} if the same "
        "training begins with random weights."
    )
    if "facts_exact_match" in instruct and "facts_exact_match" in other:
        said += (
            f" Of the facts, which only the corpus tells, it knows {percent(instruct['facts_exact_match'])}, "
            f"against {percent(other['facts_exact_match'])}."
        )
    return said


def picked(rows: Sequence[Row], n: int, *wanted: Callable[[Row], bool]) -> list[Row]:
    """The first row of each sort that is wanted, where there is one, and others from the front to make up n."""
    chosen: list[int] = []
    for wants in wanted:
        chosen += [at for at, row in enumerate(rows) if at not in chosen and wants(row)][:1]
    chosen += [at for at in range(len(rows)) if at not in chosen]
    return [rows[at] for at in chosen[:n]]


def of_every_kind(rows: Sequence[Row], n: int) -> list[Row]:
    """The first row of each kind, then the second of each, up to n; the first n where the rows have no kinds."""
    seen: dict[str, int] = {}
    turns = []
    for at, row in enumerate(rows):
        seen[row["kind"]] = seen.get(row["kind"], 0) + 1
        turns.append((seen[row["kind"]], at))
    return [rows[at] for _, at in sorted(turns)[:n]]
