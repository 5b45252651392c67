"""Whether one classifier is better than another on the same messages, or the difference is one of chance."""

from typing import Any

import numpy as np

from groundup.evaluation.intervals import mcnemar_p_value, ratio_of_sums
from groundup.evaluation.metrics import bootstrap_bounds, f1_of_rows, f1_statistic
from groundup.tasks.classes import Classes


def versus_figures(
    labels: np.ndarray, called: np.ndarray, other: np.ndarray, classes: Classes, confidence: float, seed: int
) -> dict[str, Any]:
    """By how much the calls of the GPT are better than those of a baseline, with intervals, and how chance explains it.

    Both are measured on the same resamples of the rows, so that what makes a row hard for both does not widen the
    intervals. `mcnemar_p` is how probable so uneven a share of the rows that only one has right would be for equals.

    Shapes:  (N,), (N,), (N,)
    Source:  Dietterich 1998, "Approximate Statistical Tests for Comparing Supervised Classification Learning
        Algorithms".
    """
    right, other_right = called == labels, other == labels
    accuracy = ratio_of_sums(1.0 * right - other_right, np.ones(len(labels)))
    f1, other_f1 = (f1_statistic(labels, each, classes) for each in (called, other))
    bounds = bootstrap_bounds("accuracy", accuracy, len(labels), confidence, seed, lowest=-1.0)
    return {
        "accuracy_difference": float(right.mean() - other_right.mean()),
        "low": bounds["accuracy_low"],
        "high": bounds["accuracy_high"],
        "f1_difference": f1_of_rows(labels, called, classes) - f1_of_rows(labels, other, classes),
        **bootstrap_bounds("f1", lambda counts: f1(counts) - other_f1(counts), len(labels), confidence, seed, -1.0),
        "mcnemar_p": mcnemar_p_value(right, other_right),
        "only_gpt_right": int((right & ~other_right).sum()),
        "only_baseline_right": int((other_right & ~right).sum()),
    }
