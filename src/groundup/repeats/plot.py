"""The picture of the learning curves."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import matplotlib.pyplot as plt

from groundup.report.plots import METADATA
from groundup.report.say import Row, f1_of

WITH_INTERVAL = 2  # more than two would hide each other


class Measured(Protocol):
    """Figures of several systems for some number of rows."""

    @property
    def rows(self) -> int: ...

    def systems(self) -> dict[str, Row]: ...


def plot_curves(path: Path, points: Sequence[Measured], called: Callable[[str], str]) -> None:
    """Accuracy and F1 by the number of labelled rows; the first two systems with the interval of their accuracy.

    Args:
        called: the name of a system as people read it.
    """
    figure, (accuracy, f1) = plt.subplots(1, 2, figsize=(9.6, 4.2), sharex=True, layout="constrained")
    numbers = [point.rows for point in points]
    for place, name in enumerate(points[0].systems()):
        rows = [point.systems()[name] for point in points]
        line = accuracy.plot(numbers, [row["accuracy"] for row in rows], marker="o", markersize=3, label=called(name))[
            0
        ]
        bounds = ([row["accuracy_low"] for row in rows], [row["accuracy_high"] for row in rows])
        if place < WITH_INTERVAL:
            accuracy.fill_between(numbers, *bounds, alpha=0.12, color=line.get_color())
        f1.plot(numbers, [f1_of(row) for row in rows], marker="o", markersize=3, color=line.get_color())
    for axes, title in ((accuracy, "accuracy on test messages"), (f1, "F1 on test messages")):
        axes.set_xscale("log")
        axes.set(title=title, xlabel="labelled rows", xticks=numbers, xticklabels=numbers)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    figure.savefig(path, dpi=110, metadata=METADATA, bbox_inches="tight")
    plt.close(figure)
