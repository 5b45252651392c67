"""The classifier's files: the figures of the summary follow from them, and their bytes from the scores alone."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score

from groundup.evaluation.calibration import reliability
from groundup.evaluation.classifier import ClassifierScores
from groundup.report.classifier_files import mistakes_of, write_classifier_files
from groundup.tasks.classes import Classes

TWO = Classes(["ham", 'spam, "so"\ncalled'], 0.4)
THREE = Classes(["a", "b", "c"])
BASELINES = ("majority", "naive_bayes", "tfidf_logreg", "svm")


def scores_of(
    classes: Classes, n: int, labels: np.ndarray | None = None
) -> tuple[ClassifierScores, list[dict[str, Any]]]:
    generator = np.random.default_rng(n)
    k = len(classes.names)
    if labels is None:
        labels = generator.integers(0, k, n)
    probabilities = {name: generator.dirichlet(np.ones(k), n) for name in ("GPT", *BASELINES)}
    called = {name: classes.called(each) for name, each in probabilities.items()}
    told = classes.told(probabilities["GPT"])
    samples = [
        {
            "text": f"text {at}",
            "label": classes.names[label],
            "called": classes.names[call],
            "probability": round(float(probability), 4),
            "right": bool(label == call),
        }
        for at, (label, call, probability) in enumerate(zip(labels, called["GPT"], told, strict=True))
    ]
    return ClassifierScores(classes, labels, probabilities, called, probabilities["GPT"] ** 0.5), samples


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_accuracy_follows_from_the_table_of_calls(classes: Classes, tmp_path: Path) -> None:
    scores, samples = scores_of(classes, 60)
    write_classifier_files(tmp_path, scores, samples)
    rows = table(tmp_path / "predictions.csv")
    assert list(rows[0]) == ["row", "label", "called", "probability", "right", *BASELINES]
    assert [int(row["row"]) for row in rows] == list(range(60))
    for name, column in {"GPT": "called", **dict(zip(BASELINES, BASELINES, strict=True))}.items():
        accuracy = np.mean([row["label"] == row[column] for row in rows])
        assert accuracy == np.mean(scores.called[name] == scores.labels)
    assert np.mean([int(row["right"]) for row in rows]) == np.mean(scores.called["GPT"] == scores.labels)
    for row, probabilities in zip(rows, scores.probabilities["GPT"], strict=True):
        assert float(row["probability"]) == pytest.approx(probabilities[classes.names.index(row["called"])], rel=1e-5)


def test_each_point_of_the_curve_is_what_its_threshold_brings(tmp_path: Path) -> None:
    scores, samples = scores_of(TWO, 40)
    write_classifier_files(tmp_path, scores, samples)
    rows = table(tmp_path / "precision_recall.csv")
    names = {
        "GPT": "GPT",
        "naive Bayes": "naive_bayes",
        "TF-IDF + logistic regression": "tfidf_logreg",
        "n-gram SVM": "svm",
    }
    assert {row["classifier"] for row in rows} == set(names)
    for row in rows:
        called = scores.probabilities[names[row["classifier"]]][:, 1] >= float(row["threshold"]) - 1e-6
        assert float(row["precision"]) == pytest.approx(precision_score(scores.labels, called), abs=1e-5)
        assert float(row["recall"]) == pytest.approx(recall_score(scores.labels, called), abs=1e-5)
    points = [(float(row["recall"]), float(row["precision"])) for row in rows if row["classifier"] == "GPT"]
    area = sum((one[0] - two[0]) * one[1] for one, two in zip(points, [*points[1:], (0.0, 1.0)], strict=True))
    wanted = average_precision_score(scores.labels, scores.probabilities["GPT"][:, 1])
    assert area == pytest.approx(wanted, abs=0.02)  # a point that adds no row is left out


def test_the_curves_of_many_classes_are_the_pooled_one_and_one_for_each(tmp_path: Path) -> None:
    scores, samples = scores_of(THREE, 40, np.arange(40) % 2)
    write_classifier_files(tmp_path, scores, samples)
    names = dict.fromkeys(row["classifier"] for row in table(tmp_path / "precision_recall.csv"))
    assert list(names) == ["all classes, pooled", "a", "b"]  # of c there is no message


def test_the_reliability_table_holds_both_curves(tmp_path: Path) -> None:
    scores, samples = scores_of(TWO, 120)
    write_classifier_files(tmp_path, scores, samples)
    rows = table(tmp_path / "reliability.csv")
    for scaled, probabilities in ((0, scores.probabilities["GPT"]), (1, scores.scaled)):
        own = [row for row in rows if int(row["scaled"]) == scaled]
        wanted = reliability(scores.labels, probabilities, TWO)
        assert [int(row["rows"]) for row in own] == wanted.rows.tolist()
        np.testing.assert_allclose([float(row["observed"]) for row in own], wanted.observed, rtol=1e-5)
        np.testing.assert_allclose([float(row["mean_probability"]) for row in own], wanted.mean_probability, rtol=1e-5)


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_mistakes_are_all_there_the_surest_first(classes: Classes, tmp_path: Path) -> None:
    scores, samples = scores_of(classes, 60)
    write_classifier_files(tmp_path, scores, samples)
    mistakes = json.loads((tmp_path / "mistakes.json").read_text(encoding="utf-8"))
    assert {row["text"] for row in mistakes} == {row["text"] for row in samples if not row["right"]}
    for row in mistakes:
        assert list(row) == ["text", "label", "called", "probability"]
        at = int(row["text"].split()[1])
        assert row["probability"] == pytest.approx(
            scores.probabilities["GPT"][at, classes.names.index(row["called"])], abs=1e-4
        )
    sure = [row["probability"] for row in mistakes]
    assert sure == sorted(sure, reverse=True)
    assert mistakes_of([row for row in samples if row["right"]], classes.names) == []


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    names = ["predictions.csv", "mistakes.json", "precision_recall.csv", "precision_recall.png"]
    names += ["reliability.csv", "reliability.png"]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_classifier_files(tmp_path / folder, *scores_of(TWO, 60))
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(names)
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("n", [1, 30])
def test_messages_of_one_class_are_written_too(number: int, n: int, tmp_path: Path) -> None:
    scores, samples = scores_of(TWO, n, np.full(n, number))
    write_classifier_files(tmp_path, scores, samples)
    assert (tmp_path / "precision_recall.csv").read_text() == "classifier,recall,precision,threshold\n"
    assert len(table(tmp_path / "predictions.csv")) == n
    assert math.fsum(int(row["rows"]) for row in table(tmp_path / "reliability.csv")) == 2 * n
