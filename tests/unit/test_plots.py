"""The plots are PNG files whose bytes depend on the figures alone."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from groundup.evaluation.calibration import Reliability
from groundup.report import plots
from groundup.report.plots import (
    plot_confusion,
    plot_loss_by_position,
    plot_losses,
    plot_precision_recall,
    plot_reliability,
    plot_roc,
)
from groundup.tasks.classes import Classes

TRAIN = [{"step": 10.0 * n, "loss_nats": 5.0 / n} for n in range(1, 6)]
VALIDATION = [{"step": 10.0, "loss_nats": 4.0}, {"step": 30.0, "loss_nats": 2.5}, {"step": 50.0, "loss_nats": 2.75}]
CONFUSION = np.array([[40, 2], [3, 9]])
LABELS = np.array([0, 0, 1, 1, 0, 1])
SCORES = {
    "GPT": (LABELS, np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])),
    "TF-IDF": (LABELS, np.array([0.3, 0.3, 0.6, 0.6, 0.7, 0.2])),
}

POSITIONS = [
    {"from": 0, "to": 0, "tokens": 2, "loss_nats": 5.0},
    {"from": 1, "to": 3, "tokens": 6, "loss_nats": 1.0},
]
TWO, MANY = Classes(["ham", "spam"], 0.4), Classes(["a", "b", "c"])
TOLD = Reliability(np.array([0.1, 0.5, 0.9]), np.array([0.0, 0.4, 1.0]), np.array([25, 25, 30]))
SCALED = Reliability(np.array([0.2, 0.5, 0.8]), np.array([0.0, 0.4, 1.0]), np.array([25, 25, 30]))

DRAWN: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    # Each plot, and the same with one figure changed.
    "losses": (
        lambda path: plot_losses(path, "Losses", TRAIN, VALIDATION),
        lambda path: plot_losses(path, "Losses", TRAIN, [*VALIDATION[:2], {"step": 50.0, "loss_nats": 1.0}]),
    ),
    "confusion": (
        lambda path: plot_confusion(path, CONFUSION, ["ham", "spam"]),
        lambda path: plot_confusion(path, np.array([[40, 2], [3, 10]]), ["ham", "spam"]),
    ),
    "positions": (
        lambda path: plot_loss_by_position(path, POSITIONS),
        lambda path: plot_loss_by_position(path, [POSITIONS[0], POSITIONS[1] | {"loss_nats": 1.5}]),
    ),
    "roc": (
        lambda path: plot_roc(path, SCORES),
        lambda path: plot_roc(path, SCORES | {"GPT": (LABELS, 1 - SCORES["GPT"][1])}),
    ),
    "precision_recall": (
        lambda path: plot_precision_recall(path, SCORES, 0.4),
        lambda path: plot_precision_recall(path, SCORES, 0.7),
    ),
    "reliability": (
        lambda path: plot_reliability(path, TOLD, SCALED, TWO),
        lambda path: plot_reliability(path, TOLD, TOLD, TWO),
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
    plot_confusion(tmp_path / "plot.png", np.array([[40, 2], [0, 0]]), ["ham", "spam"])
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_the_mean_of_the_positions_weighs_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(monkeypatch, lambda: plot_loss_by_position(Path("unused"), POSITIONS))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["mean of all tokens, 2.000"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1\u20133"]
    plt.close(figure)


@pytest.mark.parametrize("best", [1, 2])
@pytest.mark.parametrize("above", [0.0, 3.4, 4.3, 20.0], ids=["below training", "amid it", "at its top", "above it"])
def test_the_label_of_the_kept_weights_stays_within_the_axes(monkeypatch, best, above):
    losses = {1: 0.7, 2: 0.8} | {best: 0.6}
    validation = [{"step": 1050.0 * n, "loss_nats": loss + above} for n, loss in losses.items()]
    figure = drawn(monkeypatch, lambda: plot_losses(Path("unused"), "T", TRAIN, validation))
    (axes,) = figure.axes
    (label,) = axes.texts
    written, room = label.get_window_extent(), axes.get_window_extent()
    plt.close(figure)
    assert room.x0 <= written.x0
    assert written.x1 <= room.x1
    assert room.y0 <= written.y0
    assert written.y1 <= room.y1


def test_the_names_of_many_positions_end_at_their_ticks(monkeypatch):
    rows = [{"from": 2**n, "to": 2 ** (n + 1) - 1, "tokens": 9, "loss_nats": 2.0} for n in range(16)]
    figure = drawn(monkeypatch, lambda: plot_loss_by_position(Path("unused"), rows))
    (axes,) = figure.axes
    last, room = axes.get_xticklabels()[-1].get_window_extent(), axes.get_window_extent()
    plt.close(figure)
    assert last.x1 <= room.x1


# --- the curves of the classifier


@pytest.mark.parametrize("threshold", [0.4, None])
def test_the_threshold_is_marked_where_it_puts_precision_and_recall(
    threshold: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = drawn(monkeypatch, lambda: plot_precision_recall(Path("unused"), SCORES, threshold))
    marked = [line.get_xydata()[0].tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    # From 0.4 on are called: 0.4 of a ham, 0.8 and 0.9 of a spam; the spam at 0.35 is missed.
    assert marked == ([] if threshold is None else [pytest.approx([2 / 3, 2 / 3])])
    plt.close(figure)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("threshold", [None, 0.5])
def test_without_curves_an_empty_picture_is_drawn(threshold: float | None, tmp_path: Path) -> None:
    plot_precision_recall(tmp_path / "a.png", {}, threshold)
    plot_roc(tmp_path / "b.png", {})
    plot_precision_recall(tmp_path / "c.png", SCORES, 1.0)  # by which nothing is called
    assert all((tmp_path / f"{name}.png").stat().st_size > 1000 for name in "abc")


@pytest.mark.parametrize(("classes", "said"), [(TWO, "probability of spam"), (MANY, "probability of the class called")])
def test_the_reliability_says_of_what_it_is(classes: Classes, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = drawn(monkeypatch, lambda: plot_reliability(Path("unused"), TOLD, SCALED, classes))
    (axes,) = figure.axes
    assert axes.get_xlabel() == said
    for line, each in zip(axes.lines[1:], (TOLD, SCALED), strict=True):
        assert line.get_xydata().tolist() == np.column_stack([each.mean_probability, each.observed]).tolist()
    plt.close(figure)


@pytest.mark.parametrize("label", ["a$b$c", "$\\nothing$", "_x^2"])
def test_a_positive_label_is_drawn_as_it_stands(label: str, tmp_path: Path) -> None:
    plot_reliability(tmp_path / "plot.png", TOLD, SCALED, Classes(["ham", label], 0.5))
    assert (tmp_path / "plot.png").stat().st_size > 1000


# --- more than two classes


def drawn(monkeypatch: pytest.MonkeyPatch, draw: Callable[[], None]) -> plt.Figure:
    """The one figure that is saved, kept open and laid out."""
    figures: list[plt.Figure] = []
    monkeypatch.setattr(plots, "_save", lambda figure, path: figures.append(figure))
    draw()
    (figure,) = figures
    figure.canvas.draw()
    return figure


@pytest.mark.parametrize("n", [3, 4, 20])
def test_names_and_counts_of_many_classes_do_not_cover_each_other(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.full((n, n), 123)
    names = [f"quite a long label {number}" for number in range(n)]
    figure = drawn(monkeypatch, lambda: plot_confusion(Path("unused"), counts, names))
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == names
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == n * n
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[at + 1 : at + n + 1])
    rows = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in pairwise(rows))
    plt.close(figure)


def test_only_pairs_that_happened_are_written_among_many_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.array([[5, 0, 1], [0, 0, 2], [0, 0, 7]])
    figure = drawn(monkeypatch, lambda: plot_confusion(Path("unused"), counts, ["a", "b", "c"]))
    said = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    # Columns are what a message was called, rows what it is.
    assert said == {(0, 0): "5", (2, 0): "1", (1, 1): "0", (2, 1): "2", (2, 2): "7"}
    plt.close(figure)


def test_a_picture_of_very_many_classes_stays_a_picture(tmp_path: Path) -> None:
    n = 300
    generator = np.random.default_rng(0)
    plot_confusion(tmp_path / "a.png", np.eye(n, dtype=int), [f"name {number}" for number in range(n)])
    plot_roc(tmp_path / "b.png", {f"name {number}": (LABELS, generator.random(6)) for number in range(n)})
    for name in ("a.png", "b.png"):
        assert max(plt.imread(tmp_path / name).shape[:2]) < 3000


def test_the_names_of_many_curves_stand_beside_the_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    curves = {f"$class$ {number}": SCORES["GPT"] for number in range(21)}
    figure = drawn(monkeypatch, lambda: plot_roc(Path("unused"), curves))
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(curves)
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1
    colours = {str(line.get_color()) for line in axes.lines[:-1]}
    assert len(colours) == 21
    plt.close(figure)
