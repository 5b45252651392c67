"""From which probability on a message is called positive."""

import numpy as np

from groundup.tasks.classes import Classes


def choose_threshold(labels: np.ndarray, probabilities: np.ndarray, figure: str) -> float:
    """The probability from which a message counts as positive, chosen where the figure is highest.

    Candidates lie half way between neighbouring probabilities. Of equally good ones the one nearest to 0.5 is taken.

    Args:
        figure: `accuracy` or `f1`.
    Shapes:  labels of 0 and 1 (N,), probabilities (N,)
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    # Calling the first k of the ranking positive, for each k from none to all:
    true_positives = np.concatenate([[0], np.cumsum(labels[order])])
    n_called = np.arange(len(labels) + 1)
    n_positive = labels.sum()
    if figure == "f1":
        score = 2 * true_positives / np.maximum(1, n_called + n_positive)
    else:
        score = (true_positives + (len(labels) - n_positive) - (n_called - true_positives)) / len(labels)
    ends = np.concatenate([[1.0], ranked, [0.0]])
    thresholds = (ends[:-1] + ends[1:]) / 2
    possible = np.concatenate(
        [[ranked[0] < 1], ranked[:-1] != ranked[1:], [True]]
    )  # equal probabilities cannot be parted
    best = np.flatnonzero(possible & (score >= score[possible].max() - 1e-12))
    return float(thresholds[best[np.argmin(np.abs(thresholds[best] - 0.5))]])


def with_best_threshold(classes: Classes, labels: np.ndarray, probabilities: np.ndarray, figure: str) -> Classes:
    """Two classes with the threshold that is best on these rows; more than two as they are, which need none.

    Args:
        figure: `accuracy` or `f1`.
    Shapes:  labels (N,), probabilities (N, K)
    """
    if not classes.has_positive:
        return classes
    return classes.with_threshold(choose_threshold(labels, probabilities[:, 1], figure))
