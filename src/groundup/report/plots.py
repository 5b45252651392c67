"""The plots of the report, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # writes files; needs no screen

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_curve

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


def plot_confusion(path: Path, confusion: Mapping[str, int], classes: Sequence[str]) -> None:
    """Which class the test messages have and which they were called."""
    counts = np.array(
        [
            [confusion["true_negative"], confusion["false_positive"]],
            [confusion["false_negative"], confusion["true_positive"]],
        ]
    )
    figure, axes = plt.subplots(figsize=(3.6, 3.2))
    axes.imshow(counts / counts.sum(axis=1, keepdims=True).clip(min=1), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        light = count > counts[row].sum() / 2
        axes.text(column, row, str(count), ha="center", va="center", fontsize=14, color="white" if light else "black")
    axes.set(
        title="test messages",
        xlabel="called",
        ylabel="is",
        xticks=(0, 1),
        yticks=(0, 1),
        xticklabels=classes,
        yticklabels=classes,
    )
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)  # a $ in a label is a dollar
    _save(figure, path)


def plot_roc(path: Path, labels: np.ndarray, scores: Mapping[str, np.ndarray]) -> None:
    """How many spam messages are caught at each share of false alarms, for each classifier.

    Shapes:  labels of 0 and 1 (N,), scores (N,) each
    """
    figure, axes = plt.subplots(figsize=(4.4, 3.6))
    for name, probabilities in scores.items():
        false_alarms, caught, _ = roc_curve(labels, probabilities)
        axes.plot(false_alarms, caught, label=name)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.set(title="ROC on test messages", xlabel="false alarms", ylabel="caught")
    axes.grid(alpha=0.3)
    axes.legend()
    _save(figure, path)
