"""The figures of the classifier and of the instruction follower, and how sure they are."""

import re
import string
from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score


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


def classification_figures(
    labels: np.ndarray, probabilities: np.ndarray, threshold: float, confidence: float
) -> dict[str, Any]:
    """Accuracy with its Wilson interval, precision, recall and F1 of the positive class, ROC AUC, confusion matrix.

    Shapes:  labels of 0 and 1 (N,), probabilities of the positive class (N,)
    """
    called = (probabilities >= threshold).astype(int)
    right = int((called == labels).sum())
    low, high = wilson_interval(right, len(labels), confidence)
    counts = confusion_matrix(labels, called, labels=[0, 1])
    return {
        "accuracy": right / len(labels),
        "accuracy_low": low,
        "accuracy_high": high,
        "precision": float(precision_score(labels, called, zero_division=0)),
        "recall": float(recall_score(labels, called, zero_division=0)),
        "f1": float(f1_score(labels, called, zero_division=0)),
        "roc_auc": float(roc_auc_score(labels, probabilities)) if 0 < labels.sum() < len(labels) else 0.5,
        "confusion": {
            "true_negative": int(counts[0, 0]),
            "false_positive": int(counts[0, 1]),
            "false_negative": int(counts[1, 0]),
            "true_positive": int(counts[1, 1]),
        },
    }


def wilson_interval(n_right: int, n: int, confidence: float) -> tuple[float, float]:
    """Within which bounds a rate lies that was seen as `n_right` of `n`.

    Source: Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    interval = binomtest(n_right, n).proportion_ci(confidence_level=confidence, method="wilson")
    return float(interval.low), float(interval.high)


def answer_words(text: str) -> list[str]:
    """The words of an answer as they are compared: without case, punctuation and articles.

    Source: the SQuAD evaluation script's rules (Rajpurkar et al. 2016).
    """
    text = "".join(" " if character in string.punctuation else character for character in text.casefold())
    return [word for word in text.split() if not re.fullmatch(r"a|an|the", word)]


def exact_match(answer: str, wanted: str) -> bool:
    """Whether two answers have the same words in the same order."""
    return answer_words(answer) == answer_words(wanted)


def token_f1(answer: str, wanted: str) -> float:
    """Harmonic mean of the shares of words that two answers have in common."""
    got, expected = answer_words(answer), answer_words(wanted)
    if not got or not expected:
        return float(got == expected)
    shared = sum((Counter(got) & Counter(expected)).values())
    return 2 * shared / (len(got) + len(expected))
