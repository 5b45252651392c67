"""Two classifiers on the same rows: what the difference is, and when it is called one."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from groundup.evaluation import metrics
from groundup.evaluation.comparison import versus_figures
from groundup.evaluation.metrics import f1_of_rows, f1_statistic, rate_bounds, resampled_bounds
from groundup.report.say import comparison_words, p_words, verdict, verdict_words
from groundup.tasks.classes import Classes

TWO = Classes(["ham", "spam"], 0.5)
THREE = Classes(["a", "b", "c"])


def flipped(labels: np.ndarray, n: int, start: int = 0) -> np.ndarray:
    called = labels.copy()
    called[start : start + n] = 1 - called[start : start + n]
    return called


LABELS = np.array([0, 1, 0, 0] * 50)


def test_differences_and_rows_that_only_one_has_right() -> None:
    called, other = flipped(LABELS, 4), flipped(LABELS, 30, start=2)
    figures = versus_figures(LABELS, called, other, TWO, 0.95, seed=1)
    assert figures["accuracy_difference"] == pytest.approx((30 - 4) / 200)
    assert figures["f1_difference"] == pytest.approx(f1_score(LABELS, called) - f1_score(LABELS, other))
    assert (figures["only_gpt_right"], figures["only_baseline_right"]) == (28, 2)
    assert 0 < figures["low"] < figures["accuracy_difference"] < figures["high"]
    assert figures["f1_low"] < figures["f1_difference"] < figures["f1_high"]
    assert figures["mcnemar_p"] < 0.001
    back = versus_figures(LABELS, other, called, TWO, 0.95, seed=1)
    assert back["low"] == pytest.approx(-figures["high"])
    assert (verdict(figures, 0.95), verdict(back, 0.95)) == (1, -1)


def test_a_paired_interval_is_narrower_than_one_of_unrelated_rows() -> None:
    """What both have wrong is no difference: here 40 rows are wrong for both, and one for one of them."""
    called, other = flipped(LABELS, 40), flipped(LABELS, 41)
    figures = versus_figures(LABELS, called, other, TWO, 0.95, seed=1)
    assert figures["high"] - figures["low"] < 0.02
    assert verdict(figures, 0.95) == 0


@pytest.mark.parametrize(
    ("low", "high", "p", "expected"), [(0.01, 0.05, 0.01, 1), (0.01, 0.05, 0.05, 0), (0.0, 0.05, 0.01, 0)]
)
def test_interval_and_p_value_must_both_say_so(low: float, high: float, p: float, expected: int) -> None:
    better = {"accuracy_difference": 0.03, "low": low, "high": high, "mcnemar_p": p}
    worse = {"accuracy_difference": -0.03, "low": -high, "high": -low, "mcnemar_p": p}
    assert verdict(better, 0.95) == expected
    assert verdict(worse, 0.95) == -expected


def test_verdicts_in_words() -> None:
    def versus(at: float, p: float) -> dict[str, float]:
        return {"accuracy_difference": at, "low": at - 0.01, "high": at + 0.01, "mcnemar_p": p}

    assert verdict_words(versus(0.1, 0.001), 0.95, "chance") == "better than chance"
    assert verdict_words(versus(-0.1, 0.001), 0.95, "chance") == "worse than chance"
    assert verdict_words(versus(0.1, 0.3), 0.95, "chance") == "no difference beyond the noise"
    rows = {
        "one": versus(0.1, 0.001),
        "two": versus(-0.1, 0.001),
        "three": versus(0.1, 0.3),
        "four": versus(0.2, 0.001),
    }
    figures = {"confidence": 0.95, "baselines": {key: {"versus": row} for key, row in rows.items()}}
    names = {"one": "A", "two": "B", "three": "C", "four": "D"}
    assert comparison_words(figures, names) == (
        "Beyond the noise it is better than A, D. Beyond the noise it is worse than B. "
        "No difference beyond the noise: C."
    )
    assert comparison_words({"baselines": {"one": {"accuracy": 0.5}}}, names) == ""
    assert [p_words(0.5), p_words(1e-9)] == ["0.5000", "below 0.0001"]


def test_macro_f1_on_resamples_is_that_of_scikit_learn_on_their_rows() -> None:
    generator = np.random.default_rng(2)
    labels, called = generator.integers(0, 3, 30), generator.integers(0, 3, 30)
    counts = generator.integers(0, 2, size=(6, 30))
    counts[0, labels == 2] = 0  # a class that this resample has not drawn
    for found, row in zip(f1_statistic(labels, called, THREE)(counts), counts, strict=True):
        rows = np.repeat(np.arange(30), row)
        seen = np.unique(labels[rows])
        assert found == pytest.approx(f1_score(labels[rows], called[rows], labels=seen, average="macro"))


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_the_interval_holds_the_figure_and_narrows_with_rows(classes: Classes) -> None:
    widths = []
    mean_of = "" if classes.has_positive else "macro_"
    for n in (60, 960):
        generator = np.random.default_rng(7)
        probabilities = generator.dirichlet(np.ones(len(classes.names)), n)
        labels = np.array([generator.choice(len(row), p=row) for row in probabilities])
        bounds = resampled_bounds(labels, probabilities, classes, 0.95, 3)
        auc = roc_auc_score(labels, probabilities[:, 1] if classes.has_positive else probabilities, multi_class="ovr")
        f1 = f1_of_rows(labels, classes.called(probabilities), classes)
        for key, value in ((f"{mean_of}roc_auc", auc), (f"{mean_of}f1", f1), ("loss_nats", bounds["loss_nats"])):
            assert bounds[f"{key}_low"] < value < bounds[f"{key}_high"]
        widths.append(bounds["loss_nats_high"] - bounds["loss_nats_low"])
    assert widths[1] < widths[0] / 2


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("classes", [TWO, THREE])
@pytest.mark.parametrize("n", [1, 5])
def test_rows_of_one_class_have_intervals_that_say_what_is_not_known(classes: Classes, n: int) -> None:
    probabilities = np.full((n, len(classes.names)), 1 / len(classes.names))
    labels = np.zeros(n, dtype=int)
    bounds = resampled_bounds(labels, probabilities * 0.9, classes, 0.95, 3)
    assert all(np.isfinite(value) for value in bounds.values())
    mean_of = "" if classes.has_positive else "macro_"
    assert (bounds[f"{mean_of}roc_auc_low"], bounds[f"{mean_of}roc_auc_high"]) == (0.0, 1.0)
    versus = versus_figures(labels, labels, labels, classes, 0.95, 3)
    assert (versus["low"], versus["high"], versus["mcnemar_p"]) == (0.0, 0.0, 1.0)
    if classes.has_positive:  # no positive row, and none called so: there is no F1
        assert (versus["f1_low"], versus["f1_high"]) == (-1.0, 1.0)


def test_of_very_many_classes_and_rows_the_mean_roc_auc_has_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    probabilities, labels = generator.dirichlet(np.ones(3), 20), generator.integers(0, 3, 20)
    monkeypatch.setattr(metrics, "MOST_RANKED", 60)
    assert "macro_roc_auc_low" in resampled_bounds(labels, probabilities, THREE, 0.95, 3)
    monkeypatch.setattr(metrics, "MOST_RANKED", 59)
    bounds = resampled_bounds(labels, probabilities, THREE, 0.95, 3)
    assert "macro_roc_auc_low" not in bounds
    assert "macro_f1_low" in bounds


def test_a_rate_of_no_rows_may_be_anything() -> None:
    assert rate_bounds("recall", 0, 0, 0.95) == {"recall_low": 0.0, "recall_high": 1.0}
