"""The figures of a classifier."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import (
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    precision_score,
    recall_score,
    roc_auc_score,
)

from groundup.evaluation.intervals import wilson_interval
from groundup.tasks.classes import Classes


def classifier_figures(
    labels: np.ndarray, probabilities: np.ndarray, classes: Classes, confidence: float
) -> dict[str, Any]:
    """The figures of a classifier: of two classes those of the positive one, of more those of each and their means.

    Shapes:  labels (N,), probabilities (N, K)
    """
    if classes.threshold is None:
        return many_class_figures(labels, probabilities, classes.names, confidence)
    figures = classification_figures(labels, probabilities[:, 1], classes.threshold, confidence)
    return figures | {"threshold": classes.threshold}


def classification_figures(
    labels: np.ndarray, probabilities: np.ndarray, threshold: float, confidence: float
) -> dict[str, Any]:
    """Accuracy with its Wilson interval, precision, recall and F1 of the positive class, ROC AUC, confusion matrix.

    Shapes:  labels of 0 and 1 (N,), probabilities of the positive class (N,)
    """
    called = (probabilities >= threshold).astype(int)
    counts = confusion_matrix(labels, called, labels=[0, 1])
    return {
        **accuracy_figures(labels, called, confidence),
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


def many_class_figures(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], confidence: float
) -> dict[str, Any]:
    """Accuracy with its Wilson interval; precision, recall and F1 of each class; their means; the confusion matrix.

    A class that no row has can still be called wrongly, but what recall it has cannot be known: it has no part in the
    means, which weigh all other classes alike. `macro_roc_auc` is the mean over the classes, each against the rest.

    Shapes:  labels (N,), probabilities (N, K), of which the highest of a row is called
    """
    called = probabilities.argmax(axis=1)
    numbers = range(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(labels, called, labels=numbers, zero_division=0)
    seen = support > 0
    aucs = [float(roc_auc_score(*curve)) for curve in each_against_the_rest(labels, probabilities, names).values()]
    return {
        **accuracy_figures(labels, called, confidence),
        "macro_precision": float(precision[seen].mean()),
        "macro_recall": float(recall[seen].mean()),
        "macro_f1": float(f1[seen].mean()),
        "macro_roc_auc": float(np.mean(aucs)) if aucs else 0.5,
        "per_class": {
            name: {"support": int(support[n]), "precision": float(precision[n])}
            | ({"recall": float(recall[n]), "f1": float(f1[n])} if seen[n] else {})
            for n, name in enumerate(names)
        },
        "confusion": {
            name: dict(zip(names, map(int, row), strict=True))
            for name, row in zip(names, confusion_matrix(labels, called, labels=numbers), strict=True)
        },
    }


def accuracy_figures(labels: np.ndarray, called: np.ndarray, confidence: float) -> dict[str, float]:
    """The share of right calls and its Wilson interval.

    Shapes:  (N,), (N,)
    """
    right = int((called == labels).sum())
    low, high = wilson_interval(right, len(labels), confidence)
    return {"accuracy": right / len(labels), "accuracy_low": low, "accuracy_high": high}


def each_against_the_rest(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each class whether a row has it, and its probability; without classes that no row has, or every row.

    Shapes:  labels (N,), probabilities (N, K) -> (N,), (N,) by name
    """
    of_class = {name: (labels == number, probabilities[:, number]) for number, name in enumerate(names)}
    return {name: (has_it, scores) for name, (has_it, scores) in of_class.items() if 0 < has_it.sum() < len(labels)}
