"""Intervals and comparisons, beside scikit-learn's figures and what theory says of them."""

import math

import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from groundup.evaluation import intervals
from groundup.evaluation.intervals import (
    bootstrap,
    f1_of_calls,
    interval_of,
    mcnemar_p_value,
    ratio_of_sums,
    roc_auc_of,
)


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(5, 2, size=400)
    means = bootstrap(ratio_of_sums(values, np.ones(400)), 400, seed=3)
    assert means.mean() == pytest.approx(values.mean(), abs=0.02)
    assert means.std() == pytest.approx(values.std() / math.sqrt(400), rel=0.1)
    low, high = interval_of(means, 0.95)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / math.sqrt(400), rel=0.1)


def test_the_same_seed_draws_the_same_resamples_however_many_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(50.0)
    at_once = bootstrap(ratio_of_sums(values, np.ones(50)), 50, seed=3)
    monkeypatch.setattr(intervals, "DRAWN_AT_ONCE", 60)
    assert np.array_equal(at_once, bootstrap(ratio_of_sums(values, np.ones(50)), 50, seed=3))
    assert not np.array_equal(at_once, bootstrap(ratio_of_sums(values, np.ones(50)), 50, seed=4))


def test_figures_of_a_resample_are_those_of_scikit_learn_on_its_rows() -> None:
    generator = np.random.default_rng(2)
    labels, called = generator.integers(0, 2, 60), generator.integers(0, 2, 60)
    scores = generator.integers(0, 9, 60) / 8  # with ties
    counts = generator.integers(0, 3, size=(5, 60))
    for f1, auc, row in zip(
        f1_of_calls(labels, called)(counts), roc_auc_of(labels, scores)(counts), counts, strict=True
    ):
        rows = np.repeat(np.arange(60), row)
        assert f1 == pytest.approx(f1_score(labels[rows], called[rows]))
        assert auc == pytest.approx(roc_auc_score(labels[rows], scores[rows]))


def test_resamples_without_a_positive_row_have_no_part() -> None:
    labels = np.array([1, 0, 0, 0])
    found = bootstrap(roc_auc_of(labels, np.array([0.9, 0.1, 0.2, 0.95])), 4, seed=1)
    assert 0 < len(found) < intervals.RESAMPLES
    assert np.isfinite(found).all()


def test_mcnemar_counts_only_rows_that_one_has_right() -> None:
    right = np.array([True] * 98 + [False] * 2)
    other = np.array([True] * 90 + [False] * 10)
    assert mcnemar_p_value(right, other) == pytest.approx(2 * 0.5**8)  # 8 to 0
    assert mcnemar_p_value(other, right) == pytest.approx(2 * 0.5**8)
    assert mcnemar_p_value(right, right) == 1.0
