"""The evaluation of the classifier on the test messages, beside classical classifiers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import EvaluateParams
from groundup.data.split import Side
from groundup.evaluation.baselines import char_svm_scores, majority_probabilities, tfidf_probabilities
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.from_random import from_random_entry
from groundup.evaluation.metrics import classifier_figures
from groundup.tasks.classes import Classes, label_numbers
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities
from groundup.tasks.threshold import with_best_threshold
from groundup.train.checkpoint import load_classifier


@dataclass(frozen=True)
class ClassifierScores:
    """What each classifier said of each test message. Shapes: labels (N,), probabilities (N, K) by name.

    Args:
        classes: with the threshold of the GPT.
    """

    classes: Classes
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]


def evaluate_classifier(
    folder: Path, sides: Mapping[Side, LabelledRows], settings: EvaluateParams, device: torch.device
) -> tuple[Evaluated, ClassifierScores]:
    """The classifier on the test messages, beside the majority class and two classical classifiers.

    All learn from the same train rows, and of two classes each has its threshold from the validation rows. Where it is
    known how each message was made, `best_possible` is the accuracy of one who knows.
    """
    model, _, facts = load_classifier(folder, device)
    classes = Classes.of(facts)
    labels = {side: label_numbers(rows.labels, classes.names, side) for side, rows in sides.items()}
    test = sides["test"]
    probabilities = class_probabilities(class_logits(model, test))
    train, validation = ((sides[side].texts, labels[side]) for side in ("train", "validation"))
    tfidf_on_validation, tfidf = tfidf_probabilities(train, validation, test.texts)
    svm_on_validation, svm = char_svm_scores(train, validation, test.texts)
    majority = majority_probabilities(labels["train"], len(test.labels), len(classes.names))

    def figures(scores: np.ndarray, rule: Classes) -> dict[str, Any]:
        return classifier_figures(labels["test"], scores, rule, settings.confidence)

    def tuned(on_validation: np.ndarray) -> Classes:
        return with_best_threshold(classes, labels["validation"], on_validation, facts["threshold_for"])

    result = figures(probabilities, classes) | {
        "rows": len(test.labels),
        "baselines": {
            "majority": figures(majority, classes.with_threshold(0.5)),
            "tfidf_logreg": figures(tfidf, tuned(tfidf_on_validation)),
            "char_svm": figures(svm, tuned(svm_on_validation)),
        },
    }
    result |= from_random_entry(folder, test, labels["test"], classes.called(probabilities), figures, device)
    if test.best_guesses and all(test.best_guesses):
        right = [guess == label for guess, label in zip(test.best_guesses, test.labels, strict=True)]
        result["best_possible"] = float(np.mean(right))
    called = [classes.names[number] for number in classes.called(probabilities)]
    samples = [
        {
            "text": text,
            "label": label,
            "called": call,
            "probability": round(float(probability), 4),
            "right": call == label,
        }
        for text, label, call, probability in zip(
            test.texts, test.labels, called, classes.told(probabilities), strict=True
        )
    ]
    by_name = {"GPT": probabilities, "TF-IDF + logistic regression": tfidf, "character n-gram SVM": svm}
    return Evaluated(result, samples), ClassifierScores(classes, labels["test"], by_name)
