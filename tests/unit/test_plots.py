"""The plots are PNG files whose bytes depend on the figures alone."""

from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from groundup.report import plots
from groundup.report.plots import plot_confusion, plot_losses, plot_roc

TRAIN = [{"step": 10.0 * n, "loss_nats": 5.0 / n} for n in range(1, 6)]
VALIDATION = [{"step": 10.0, "loss_nats": 4.0}, {"step": 30.0, "loss_nats": 2.5}, {"step": 50.0, "loss_nats": 2.75}]
CONFUSION = {"true_negative": 40, "false_positive": 2, "false_negative": 3, "true_positive": 9}
LABELS = np.array([0, 0, 1, 1, 0, 1])
SCORES = {"GPT": np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9]), "TF-IDF": np.array([0.3, 0.3, 0.6, 0.6, 0.7, 0.2])}

DRAWN: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    # Each plot, and the same with one figure changed.
    "losses": (
        lambda path: plot_losses(path, "Losses", TRAIN, VALIDATION),
        lambda path: plot_losses(path, "Losses", TRAIN, [*VALIDATION[:2], {"step": 50.0, "loss_nats": 1.0}]),
    ),
    "confusion": (
        lambda path: plot_confusion(path, CONFUSION, ["ham", "spam"]),
        lambda path: plot_confusion(path, CONFUSION | {"true_positive": 10}, ["ham", "spam"]),
    ),
    "roc": (
        lambda path: plot_roc(path, LABELS, SCORES),
        lambda path: plot_roc(path, LABELS, SCORES | {"GPT": 1 - SCORES["GPT"]}),
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_a_plot_is_a_png_whose_bytes_follow_from_its_figures(name: str, tmp_path: Path) -> None:
    draw, draw_changed = DRAWN[name]
    draw(tmp_path / "one.png")
    draw(tmp_path / "two.png")
    draw_changed(tmp_path / "changed.png")
    one, two, changed = ((tmp_path / f"{each}.png").read_bytes() for each in ("one", "two", "changed"))
    assert one.startswith(b"\x89PNG\r\n\x1a\n")
    assert one == two
    assert one != changed
    assert b"matplotlib" not in one.lower()  # a version in the file would change it without a reason


@pytest.mark.parametrize("name", DRAWN)
def test_no_figure_is_left_open(name: str, tmp_path: Path) -> None:
    DRAWN[name][0](tmp_path / "plot.png")
    assert plt.get_fignums() == []


def test_the_kept_weights_are_marked_where_validation_is_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, tuple[float, float]]] = []
    real = plt.Axes.annotate

    def annotate(self: plt.Axes, text: str, xy: tuple[float, float], **options: object) -> object:
        said.append((text, xy))
        return real(self, text, xy, **options)

    monkeypatch.setattr(plt.Axes, "annotate", annotate)
    plot_losses(tmp_path / "plot.png", "Losses", TRAIN, VALIDATION)
    assert said == [("kept: step 30, 2.500", (30.0, 2.5))]


def test_the_confusion_matrix_shows_each_count_in_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: dict[tuple[float, float], str] = {}
    real = plt.Axes.text

    def text(self: plt.Axes, x: float, y: float, content: str, **options: object) -> object:
        said[x, y] = content
        return real(self, x, y, content, **options)

    monkeypatch.setattr(plt.Axes, "text", text)
    plot_confusion(tmp_path / "plot.png", CONFUSION, ["ham", "spam"])
    # Columns are what a message was called, rows what it is.
    assert said == {(0, 0): "40", (1, 0): "2", (0, 1): "3", (1, 1): "9"}


@pytest.mark.parametrize("label", ["a$b$c", "$\\nothing$", "<b>", "_x^2", "naïve"])
def test_any_label_of_the_users_data_can_be_drawn(label: str, tmp_path: Path) -> None:
    plot_confusion(tmp_path / "plot.png", CONFUSION, ["ham", label])
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_counts_of_a_class_without_rows_are_drawn(tmp_path: Path) -> None:
    plot_confusion(tmp_path / "plot.png", CONFUSION | {"false_negative": 0, "true_positive": 0}, ["ham", "spam"])
    assert (tmp_path / "plot.png").stat().st_size > 1000


@pytest.mark.parametrize("best", [1, 2])
def test_the_label_of_the_kept_weights_stays_within_the_axes(tmp_path, monkeypatch, best):
    figures = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    losses = {1: 0.7, 2: 0.8} | {best: 0.6}
    plot_losses(tmp_path / "p.png", "T", TRAIN, [{"step": 1050.0 * n, "loss_nats": loss} for n, loss in losses.items()])
    (figure,) = figures
    figure.canvas.draw()
    (axes,) = figure.axes
    (label,) = axes.texts
    drawn, room = label.get_window_extent(), axes.get_window_extent()
    plt.close(figure)
    assert room.x0 <= drawn.x0
    assert drawn.x1 <= room.x1
