"""The classifier's files beside the report: its calls, its mistakes, and the tables and images of its curves."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_curve

from groundup.evaluation.calibration import reliability
from groundup.evaluation.classifier import GPT, ClassifierScores
from groundup.evaluation.metrics import each_against_the_rest
from groundup.files import write_json_atomically
from groundup.report.plots import Curves, plot_precision_recall, plot_reliability
from groundup.report.say import BASELINES
from groundup.report.tables import write_table

POOLED = "all classes, pooled"
MISTAKES_FILE, PREDICTIONS_FILE = "mistakes.json", "predictions.csv"
PRECISION_RECALL_FILE, RELIABILITY_FILE = "precision_recall.csv", "reliability.csv"


def write_classifier_files(folder: Path, scores: ClassifierScores, samples: Sequence[Mapping[str, Any]]) -> None:
    """Write what each classifier called each test message, the mistakes, and both curves as tables and images."""
    write_table(folder / PREDICTIONS_FILE, list(predictions(scores)))
    write_json_atomically(folder / MISTAKES_FILE, mistakes_of(samples, scores.classes.names))
    curves = curves_of(scores)
    rows = [row for name, each in curves.items() for row in precision_recall_rows(name, *each)]
    write_table(folder / PRECISION_RECALL_FILE, rows, ["classifier", "recall", "precision", "threshold"])
    plot_precision_recall(folder / "precision_recall.png", curves, scores.classes.threshold)
    told = {
        scaled: reliability(scores.labels, each, scores.classes)
        for scaled, each in ((0, scores.probabilities[GPT]), (1, scores.scaled))
    }
    write_table(
        folder / RELIABILITY_FILE,
        [
            {"scaled": scaled, "mean_probability": mean, "observed": observed, "rows": rows}
            for scaled, each in told.items()
            for mean, observed, rows in zip(
                each.mean_probability.tolist(), each.observed.tolist(), each.rows.tolist(), strict=True
            )
        ],
    )
    plot_reliability(folder / "reliability.png", told[0], told[1], scores.classes)


def curves_of(scores: ClassifierScores) -> Curves:
    """What curves are drawn of: the positive one of two classes, by each classifier; of more each class, by the GPT.

    The first is the one for `dvc plots`. With more than two classes it pools the calls of all of them: each class and
    row is one call. Where all rows are of one class of two, no score can part them, and there is no curve.
    """
    if scores.classes.has_positive:
        if scores.labels.min() == scores.labels.max():
            return {}
        names = {GPT: GPT} | {key: name for key, name in BASELINES.items() if key != "majority"}
        return {name: (scores.labels, scores.probabilities[key][:, 1]) for key, name in names.items()}
    probabilities = scores.probabilities[GPT]
    has_it = scores.labels[:, None] == np.arange(probabilities.shape[1])
    pooled = {POOLED: (has_it.ravel(), probabilities.ravel())}
    return pooled | each_against_the_rest(scores.labels, probabilities, scores.classes.names)


def precision_recall_rows(name: str, has_it: np.ndarray, values: np.ndarray) -> Iterator[dict[str, Any]]:
    """Precision and recall of one curve at each threshold that brings other ones, from the lowest on.

    Shapes:  (N,), (N,)
    """
    precision, recall, thresholds = precision_recall_curve(has_it, values, drop_intermediate=True)
    for row in zip(recall[:-1].tolist(), precision[:-1].tolist(), thresholds.tolist(), strict=True):
        yield {"classifier": name} | dict(zip(("recall", "precision", "threshold"), row, strict=True))


def predictions(scores: ClassifierScores) -> Iterator[dict[str, Any]]:
    """What each test message is, and what each classifier called it: a row of a table."""
    names, labels = scores.classes.names, scores.labels.tolist()
    called = {key: each.tolist() for key, each in scores.called.items()}
    told = scores.probabilities[GPT][np.arange(len(labels)), scores.called[GPT]].tolist()
    for row, (label, call, probability) in enumerate(zip(labels, called[GPT], told, strict=True)):
        yield {
            "row": row,
            "label": names[label],
            "called": names[call],
            "probability": probability,
            "right": int(call == label),
        } | {key: names[each[row]] for key, each in called.items() if key != GPT}


def mistakes_of(samples: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The test messages that were called wrongly, the surest call first, each with the probability of that call.

    Args:
        samples: of two classes with the probability of the second, of more with that of the one called.
    """
    wrong = [
        {key: row[key] for key in ("text", "label", "called")}
        | {
            "probability": round(1 - row["probability"], 4)
            if len(names) == 2 and row["called"] == names[0]
            else row["probability"]
        }
        for row in samples
        if not row["right"]
    ]
    return sorted(wrong, key=lambda row: -row["probability"])
