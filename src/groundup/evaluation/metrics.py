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

from groundup.evaluation.calibration import log_losses
from groundup.evaluation.intervals import (
    Statistic,
    bootstrap,
    f1_of_calls,
    interval_of,
    ratio_of_sums,
    roc_auc_of,
    wilson_interval,
)
from groundup.tasks.classes import Classes

MOST_RANKED = 50_000  # classes times rows; some seconds for each classifier


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
    """Accuracy, precision, recall with their Wilson intervals, F1 of the positive class, ROC AUC, confusion matrix.

    Shapes:  labels of 0 and 1 (N,), probabilities of the positive class (N,)
    """
    called = (probabilities >= threshold).astype(int)
    counts = confusion_matrix(labels, called, labels=[0, 1])
    return {
        **accuracy_figures(labels, called, confidence),
        "precision": float(precision_score(labels, called, zero_division=0)),
        **rate_bounds("precision", counts[1, 1], called.sum(), confidence),
        "recall": float(recall_score(labels, called, zero_division=0)),
        **rate_bounds("recall", counts[1, 1], labels.sum(), confidence),
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
    """Accuracy, precision and recall of each class with their Wilson intervals; F1; their means; confusion matrix.

    A class that no row has can still be called wrongly, but what recall it has cannot be known: it has no part in the
    means, which weigh all other classes alike. `macro_roc_auc` is the mean over the classes, each against the rest.

    Shapes:  labels (N,), probabilities (N, K), of which the highest of a row is called
    """
    called = probabilities.argmax(axis=1)
    numbers = range(len(names))
    precision, recall, f1, support = precision_recall_fscore_support(labels, called, labels=numbers, zero_division=0)
    seen = support > 0
    counts = confusion_matrix(labels, called, labels=numbers)
    right, times_called = counts.diagonal(), counts.sum(axis=0)
    aucs = [float(roc_auc_score(*curve)) for curve in each_against_the_rest(labels, probabilities, names).values()]
    return {
        **accuracy_figures(labels, called, confidence),
        "macro_precision": float(precision[seen].mean()),
        "macro_recall": float(recall[seen].mean()),
        "macro_f1": float(f1[seen].mean()),
        "macro_roc_auc": float(np.mean(aucs)) if aucs else 0.5,
        "per_class": {
            name: {"support": int(support[n]), "precision": float(precision[n])}
            | rate_bounds("precision", right[n], times_called[n], confidence)
            | (
                {"recall": float(recall[n]), **rate_bounds("recall", right[n], support[n], confidence)}
                | {"f1": float(f1[n])}
                if seen[n]
                else {}
            )
            for n, name in enumerate(names)
        },
        "confusion": {
            name: dict(zip(names, map(int, row), strict=True)) for name, row in zip(names, counts, strict=True)
        },
    }


def accuracy_figures(labels: np.ndarray, called: np.ndarray, confidence: float) -> dict[str, float]:
    """The share of right calls and its Wilson interval.

    Shapes:  (N,), (N,)
    """
    right = int((called == labels).sum())
    return {"accuracy": right / len(labels)} | rate_bounds("accuracy", right, len(labels), confidence)


def rate_bounds(key: str, n_right: int, n: int, confidence: float) -> dict[str, float]:
    """The Wilson interval of a rate under its key; of a rate of no rows nothing is known."""
    low, high = wilson_interval(int(n_right), int(n), confidence) if n else (0.0, 1.0)
    return {f"{key}_low": low, f"{key}_high": high}


def resampled_bounds(
    labels: np.ndarray, probabilities: np.ndarray, classes: Classes, confidence: float, seed: int, *, told: bool = True
) -> dict[str, float]:
    """Intervals of F1 and ROC AUC, or of their means over the classes, by resampling the rows.

    Of very many classes and rows the mean ROC AUC has no interval: each class would be ranked on each resample.

    Args:
        told: the scores are probabilities, so that there is a log loss: it comes too, with its interval.
    Shapes:  labels (N,), probabilities (N, K)
    """
    mean_of = "" if classes.has_positive else "macro_"
    f1 = f1_statistic(labels, classes.called(probabilities), classes)
    auc = (
        roc_auc_of(labels, probabilities[:, 1])
        if classes.has_positive
        else _mean_of_known([roc_auc_of(labels == n, probabilities[:, n]) for n in np.unique(labels)])
    )
    figures = bootstrap_bounds(f"{mean_of}f1", f1, len(labels), confidence, seed)
    if classes.has_positive or probabilities.size <= MOST_RANKED:
        figures |= bootstrap_bounds(f"{mean_of}roc_auc", auc, len(labels), confidence, seed)
    if told:
        losses = log_losses(labels, probabilities)
        mean = ratio_of_sums(losses, np.ones(len(losses)))
        figures |= {"loss_nats": float(losses.mean())}
        figures |= bootstrap_bounds("loss_nats", mean, len(losses), confidence, seed)
    return figures


def bootstrap_bounds(
    key: str, statistic: Statistic, n: int, confidence: float, seed: int, lowest: float = 0.0
) -> dict[str, float]:
    """The bootstrap interval of a figure under its key; from `lowest` to 1 where no resample has the figure."""
    resampled = bootstrap(statistic, n, seed)
    low, high = interval_of(resampled, confidence) if len(resampled) else (lowest, 1.0)
    return {f"{key}_low": low, f"{key}_high": high}


def f1_statistic(labels: np.ndarray, called: np.ndarray, classes: Classes) -> Statistic:
    """For `bootstrap`: F1 of the positive one of two classes; of more its mean over the classes that rows have.

    Shapes:  (N,), (N,)
    """
    if classes.has_positive:
        return f1_of_calls(labels, called)
    numbers = np.arange(len(classes.names))
    is_it, call = (1.0 * (each[:, None] == numbers) for each in (labels, called))  # (N, K)

    def statistic(counts: np.ndarray) -> np.ndarray:
        support, twice_right = counts @ is_it, 2 * (counts @ (is_it * call))  # (R, K)
        f1 = twice_right / np.maximum(1, support + counts @ call)
        return f1.sum(axis=1) / (support > 0).sum(axis=1)

    return statistic


def f1_of_rows(labels: np.ndarray, called: np.ndarray, classes: Classes) -> float:
    """F1 of the positive one of two classes, of more its mean over the classes that rows have; 0 where none is right.

    Shapes:  (N,), (N,)
    """
    found = float(f1_statistic(labels, called, classes)(np.ones((1, len(labels)), dtype=int))[0])
    return found if np.isfinite(found) else 0.0


def _mean_of_known(statistics: Sequence[Statistic]) -> Statistic:
    """For `bootstrap`: the mean of figures of which some may be no number in a resample."""

    def statistic(counts: np.ndarray) -> np.ndarray:
        each = np.stack([one(counts) for one in statistics])
        known = np.isfinite(each)
        with np.errstate(invalid="ignore"):
            mean: np.ndarray = np.where(known, each, 0).sum(axis=0) / known.sum(axis=0)
        return mean

    return statistic


def each_against_the_rest(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each class whether a row has it, and its probability; without classes that no row has, or every row.

    Shapes:  labels (N,), probabilities (N, K) -> (N,), (N,) by name
    """
    of_class = {name: (labels == number, probabilities[:, number]) for number, name in enumerate(names)}
    return {name: (has_it, scores) for name, (has_it, scores) in of_class.items() if 0 < has_it.sum() < len(labels)}
