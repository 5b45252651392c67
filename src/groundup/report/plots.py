"""The plots of the report, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # writes files; needs no screen

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_curve

from groundup.errors import shorten

RocCurves = Mapping[str, tuple[np.ndarray, np.ndarray]]  # whether a row is of the class, and its score, by name
LONGEST_NAME = 40  # characters of a name that is drawn
LEGIBLE = 40  # classes whose names and counts can be read in a picture
FEW_CURVES = 10  # as many colours as matplotlib gives before they come again

TRAIN_COLOUR, VALIDATION_COLOUR = "#7a9cc6", "#c1440e"
METADATA = {"Software": None}  # no version in the file: the same figures give the same bytes


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata=METADATA, bbox_inches="tight")
    plt.close(figure)


def plot_losses(
    path: Path, title: str, train: Sequence[Mapping[str, float]], validation: Sequence[Mapping[str, float]]
) -> None:
    """Training and validation loss by step; the kept weights are marked."""
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    steps, losses = [row["step"] for row in validation], [row["loss_nats"] for row in validation]
    axes.plot([row["step"] for row in train], [row["loss_nats"] for row in train], color=TRAIN_COLOUR, label="training")
    axes.plot(steps, losses, color=VALIDATION_COLOUR, marker="o", markersize=3, label="validation")
    best = int(np.argmin(losses))
    axes.annotate(
        f"kept: step {steps[best]:.0f}, {losses[best]:.3f}",
        (steps[best], losses[best]),
        xytext=(0, 14),
        textcoords="offset points",
        ha="right" if steps[best] > steps[-1] / 2 else "left",  # so that it stays within the axes
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
    axes.set_xticks(range(len(rows)), names, rotation=30 if len(rows) > 6 else 0)
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
        plt.setp(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
        axes.tick_params(labelsize=8)
    _save(figure, path)


def plot_roc(path: Path, curves: RocCurves) -> None:
    """How many messages of a class are caught at each share of false alarms, for each curve.

    Shapes:  whether they are of it (N,), and scores (N,), each
    """
    figure, axes = plt.subplots(figsize=(4.4, 3.6))
    colours = None if len(curves) <= FEW_CURVES else plt.get_cmap("turbo")(np.linspace(0.05, 0.95, len(curves)))
    for number, (name, (has_it, scores)) in enumerate(curves.items()):
        false_alarms, caught, _ = roc_curve(has_it, scores)
        named = number == 0 or len(curves) <= LEGIBLE
        line = axes.plot(false_alarms, caught, label=shorten(name, LONGEST_NAME) if named else None)[0]
        if colours is not None:
            line.set_color(colours[number])
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.set(title="ROC on test messages", xlabel="false alarms", ylabel="caught")
    axes.grid(alpha=0.3)
    if len(curves) <= 3:
        legend = axes.legend()
    else:  # so many names would cover the curves
        legend = axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.02), fontsize=8, ncols=1 + (len(curves) > 25))
    for text in legend.get_texts():
        text.set_parse_math(False)
    _save(figure, path)
