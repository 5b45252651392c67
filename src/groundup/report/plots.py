"""The plots of the report, as PNG files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # writes files; needs no screen

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from groundup.errors import shorten
from groundup.evaluation.calibration import Reliability
from groundup.tasks.classes import Classes

Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]  # whether a row is of the class, and its score, by name
LONGEST_NAME = 40  # characters of a name that is drawn
LEGIBLE = 40  # classes whose names and counts can be read in a picture
FEW_NAMES = 4  # that a legend within the axes has room for
TOP_OF_LOSSES = 0.85  # of the height; what is written above a point beyond would lie on the title
FEW_CURVES = 10  # as many colours as matplotlib gives before they come again

TRAIN_COLOUR, VALIDATION_COLOUR = "#7a9cc6", "#c1440e"
METADATA = {"Software": None}  # no version in the file: the same figures give the same bytes


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata=METADATA, bbox_inches="tight")
    plt.close(figure)


def _slant(axes: Any, degrees: float) -> None:
    """Long names below the axes end at their ticks."""
    plt.setp(axes.get_xticklabels(), rotation=degrees, ha="right", rotation_mode="anchor")


def plot_losses(
    path: Path, title: str, train: Sequence[Mapping[str, float]], validation: Sequence[Mapping[str, float]]
) -> None:
    """Training and validation loss by step; the kept weights are marked."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    steps, losses = [row["step"] for row in validation], [row["loss_nats"] for row in validation]
    axes.plot([row["step"] for row in train], [row["loss_nats"] for row in train], color=TRAIN_COLOUR, label="training")
    axes.plot(steps, losses, color=VALIDATION_COLOUR, marker="o", markersize=3, label="validation")
    best = int(np.argmin(losses))
    low, high = axes.get_ylim()
    at_the_top = losses[best] > low + (high - low) * TOP_OF_LOSSES
    axes.annotate(
        f"kept: step {steps[best]:.0f}, {losses[best]:.3f}",
        (steps[best], losses[best]),
        xytext=(0, -14 if at_the_top else 14),
        textcoords="offset points",
        ha="right" if steps[best] > steps[-1] / 2 else "left",  # so that it stays within the axes
        va="top" if at_the_top else "baseline",
    )
    axes.set(title=title, xlabel="optimizer step", ylabel="loss (nats per target)")
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def plot_loss_by_position(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Loss by how many tokens of the document stand before the token.

    Args:
        rows: of each bin `from`, `to`, `tokens` and `loss_nats`.
    """
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    losses = [row["loss_nats"] for row in rows]
    axes.plot(range(len(rows)), losses, color=VALIDATION_COLOUR, marker="o", markersize=4)
    n_tokens = sum(row["tokens"] for row in rows)
    mean = sum(row["loss_nats"] * row["tokens"] for row in rows) / n_tokens
    axes.axhline(mean, color="grey", linewidth=0.8, linestyle=":", label=f"mean of all tokens, {mean:.3f}")
    names = [str(row["from"]) if row["from"] == row["to"] else f"{row['from']}\u2013{row['to']}" for row in rows]
    axes.set(title="test text", xlabel="tokens of the document before", ylabel="loss (nats per token)")
    axes.set_xticks(range(len(rows)), names)
    if len(rows) > 6:
        _slant(axes, 30)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)


def plot_confusion(path: Path, counts: np.ndarray, classes: Sequence[str]) -> None:
    """Which class the test messages have and which they were called.

    Shapes:  counts (K, K): a row for what they are, a column for what they were called
    """
    n = len(classes)
    side = 3.6 if n <= 2 else min(20.0, max(4.2, 0.45 * n + 2))
    figure, axes = plt.subplots(figsize=(side, side - 0.4))
    axes.imshow(counts / counts.sum(axis=1, keepdims=True).clip(min=1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        if n > LEGIBLE or (n > 2 and not count and row != column):
            continue  # among many classes most pairs are never taken for each other: their zeros would hide the rest
        light = count > counts[row].sum() / 2
        axes.text(
            column,
            row,
            str(count),
            ha="center",
            va="center",
            fontsize=14 if n <= 2 else max(7.0, 13 - 0.25 * n),
            color="white" if light else "black",
        )
    shown = range(n if n <= LEGIBLE else 0)
    axes.set(title="test messages", xlabel="called", ylabel="is", xticks=shown, yticks=shown)
    if n <= LEGIBLE:
        names = classes if n <= 2 else [shorten(name, LONGEST_NAME) for name in classes]
        axes.set(xticklabels=names, yticklabels=names)
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a $ in a label is a dollar
    if n > 2:
        _slant(axes, 45)
        axes.tick_params(labelsize=8)
    _save(figure, path)


def plot_roc(path: Path, curves: Curves) -> None:
    """How many messages of a class are caught at each share of false alarms, for each curve.

    Shapes:  whether they are of it (N,), and scores (N,), each
    """
    figure, axes = plt.subplots(figsize=(4.4, 3.6))

    def draw(has_it: np.ndarray, scores: np.ndarray, **options: Any) -> None:
        false_alarms, caught, _ = roc_curve(has_it, scores)
        axes.plot(false_alarms, caught, **options)

    _draw_curves(axes, curves, draw)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.set(title="ROC on test messages", xlabel="false alarms", ylabel="caught")
    _save(figure, path)


def plot_precision_recall(path: Path, curves: Curves, threshold: float | None) -> None:
    """How many of the messages that are called a class are of it, at each share of the class that is caught.

    Args:
        threshold: of the first curve, marked on it.
    Shapes:  whether they are of it (N,), and scores (N,), each
    """
    figure, axes = plt.subplots(figsize=(4.4, 3.6))

    def draw(has_it: np.ndarray, scores: np.ndarray, **options: Any) -> None:
        precision, recall, _ = precision_recall_curve(has_it, scores)
        axes.plot(recall, precision, drawstyle="steps-post", **options)

    _draw_curves(axes, curves, draw, legend_at="lower left")
    for has_it, scores in list(curves.values())[:1]:
        axes.axhline(has_it.mean(), color="grey", linewidth=0.8, linestyle=":")  # called at random
        if threshold is not None and (called := scores >= threshold).any():
            right = (called & (has_it == 1)).sum()
            axes.plot(right / has_it.sum(), right / called.sum(), "o", color=axes.lines[0].get_color(), zorder=4)
    axes.set(title="precision and recall on test messages", xlabel="recall", ylabel="precision")
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    _save(figure, path)


def plot_reliability(path: Path, as_told: Reliability, scaled: Reliability, classes: Classes) -> None:
    """How often what is told with some probability comes true, before and after the temperature."""
    figure, axes = plt.subplots(figsize=(4.4, 3.6))
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":", label="as often as told")
    for each, name, colour, marker in (
        (as_told, "as it is", TRAIN_COLOUR, "o"),
        (scaled, "with the temperature", VALIDATION_COLOUR, "s"),
    ):
        axes.plot(
            each.mean_probability, each.observed, color=colour, marker=marker, markersize=4, label=name, clip_on=False
        )
    of_what = shorten(classes.names[1], LONGEST_NAME) if classes.has_positive else "the class called"
    axes.set_xlabel(f"probability of {of_what}", parse_math=False)
    axes.set(title="reliability on test messages", ylabel="how often it is", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    _save(figure, path)


def _draw_curves(axes: Any, curves: Curves, draw: Callable[..., None], legend_at: str = "best") -> None:
    """Draw each curve in a colour of its own, with a legend that covers none of many."""
    colours = None if len(curves) <= FEW_CURVES else plt.get_cmap("turbo")(np.linspace(0.05, 0.95, len(curves)))
    for number, (name, (has_it, scores)) in enumerate(curves.items()):
        named = number == 0 or len(curves) <= LEGIBLE
        options: dict[str, Any] = {"color": colours[number]} if colours is not None else {}
        options |= {"zorder": 2 + 1 / (1 + number)}  # the first above the others
        draw(has_it, scores, label=shorten(name, LONGEST_NAME) if named else None, **options)
    axes.grid(alpha=0.3)
    if not curves:
        return
    if len(curves) <= FEW_NAMES:
        legend = axes.legend(loc=legend_at)
    else:  # so many names would cover the curves
        legend = axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), fontsize=8, ncols=1 + (len(curves) > 25))
    for text in legend.get_texts():
        text.set_parse_math(False)
