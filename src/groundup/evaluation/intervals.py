"""How sure a figure is: intervals for rates and for anything else, and whether one system beats another."""

from collections.abc import Callable

import numpy as np
from scipy.stats import binomtest

from groundup.seeding import numpy_generator

RESAMPLES = 1000
DRAWN_AT_ONCE = 1 << 20  # counts in memory at a time

# Counts (R, N), how often each of N rows was drawn in each of R resamples -> the figure of each resample (R,).
Statistic = Callable[[np.ndarray], np.ndarray]


def wilson_interval(n_right: int, n: int, confidence: float) -> tuple[float, float]:
    """Within which bounds a rate lies that was seen as `n_right` of `n`.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    interval = binomtest(n_right, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def bootstrap(statistic: Statistic, n: int, seed: int) -> np.ndarray:
    """A figure on resamples of the rows, drawn with replacement; those in which it is no number are left out.

    Two systems that are measured on the same rows get the same resamples for the same seed, so that the difference of
    their figures, resample by resample, is that of a paired bootstrap.

    Args:
        n: rows; one row is what was drawn independently of the others, such as a document, not a token of it.
    Shapes:  -> (R,)
    Source:  Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
    """
    generator = numpy_generator(seed, "bootstrap", n)
    at_once = max(1, DRAWN_AT_ONCE // n)
    found = []
    for start in range(0, RESAMPLES, at_once):
        size = min(at_once, RESAMPLES - start)
        rows = generator.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        found.append(statistic(np.bincount(rows.ravel(), minlength=size * n).reshape(size, n)))
    figures = np.concatenate(found)
    return figures[np.isfinite(figures)]


def interval_of(resampled: np.ndarray, confidence: float) -> tuple[float, float]:
    """The bounds that leave out equally many resamples on both sides."""
    tail = (1 - confidence) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def ratio_of_sums(numerator: np.ndarray, denominator: np.ndarray) -> Statistic:
    """For `bootstrap`: what all drawn rows have of one thing for each of another, such as bits for each byte.

    Shapes:  (N,), (N,)
    """

    def statistic(counts: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (counts @ numerator) / (counts @ denominator)

    return statistic


def f1_of_calls(labels: np.ndarray, called: np.ndarray) -> Statistic:
    """For `bootstrap`: the F1 of the positive class.

    Shapes:  0 or 1 (N,), (N,)
    """
    return ratio_of_sums(2.0 * (labels * called), 1.0 * (labels + called))


def roc_auc_of(labels: np.ndarray, scores: np.ndarray) -> Statistic:
    """For `bootstrap`: how often a positive row has the higher score of a pair, equal ones counted half.

    Shapes:  0 or 1 (N,), (N,)
    """
    order = np.argsort(scores, kind="stable")
    _, first = np.unique(scores[order], return_index=True)  # where each group of equal scores begins

    def statistic(counts: np.ndarray) -> np.ndarray:
        ordered, is_positive = counts[:, order], labels[order]
        positive = np.add.reduceat(ordered * is_positive, first, axis=1).astype(float)
        negative = np.add.reduceat(ordered * (1 - is_positive), first, axis=1).astype(float)
        below = np.cumsum(negative, axis=1) - negative / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            return (positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1))

    return statistic


def mcnemar_p_value(right: np.ndarray, other_right: np.ndarray) -> float:
    """How probable a difference at least this large is between two equally good systems, by rows only one has right.

    Shapes:  bool (N,), (N,)
    Source:  McNemar 1947, "Note on the sampling error of the difference between correlated proportions"; exact.
    """
    only_one, only_other = int((right & ~other_right).sum()), int((other_right & ~right).sum())
    return float(binomtest(only_one, only_one + only_other).pvalue) if only_one + only_other else 1.0
