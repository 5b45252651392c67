"""The evaluation of the classifier on the test messages, beside classical classifiers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import EvaluateParams
from groundup.data.split import Side
from groundup.evaluation.baselines import (
    majority_probabilities,
    naive_bayes_probabilities,
    svm_scores,
    tfidf_probabilities,
)
from groundup.evaluation.calibration import calibration_figures, fit_temperature, with_temperature
from groundup.evaluation.comparison import versus_figures
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.from_random import from_random
from groundup.evaluation.metrics import classifier_figures, resampled_bounds
from groundup.evaluation.slices import slice_figures
from groundup.tasks.classes import Classes, label_numbers
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities
from groundup.tasks.threshold import with_best_threshold
from groundup.train.checkpoint import load_classifier

GPT = "GPT"  # stands beside the keys of the baselines
# From the simplest on; the majority class, which learns nothing from the texts, stands before them.
BASELINES = {"naive_bayes": naive_bayes_probabilities, "tfidf_logreg": tfidf_probabilities, "svm": svm_scores}
NO_PROBABILITIES = {"svm"}  # whose scores have an order and no more


@dataclass(frozen=True)
class ClassifierScores:
    """What each classifier said of each test message. Shapes: labels (N,), probabilities (N, K), called (N,) by name.

    Args:
        classes: with the threshold of the GPT.
        probabilities: by `GPT`, then by the keys of the baselines.
        called: the number of the class that each called, likewise.
        scaled: the GPT's probabilities with the temperature that fits the validation rows. Shapes: (N, K)
    """

    classes: Classes
    labels: np.ndarray
    probabilities: dict[str, np.ndarray]
    called: dict[str, np.ndarray]
    scaled: np.ndarray


def evaluate_classifier(
    folder: Path, sides: Mapping[Side, LabelledRows], settings: EvaluateParams, seed: int, device: torch.device
) -> tuple[Evaluated, ClassifierScores]:
    """The classifier on the test messages, beside the majority class and three classical classifiers.

    All learn from the same train rows, and of two classes each has its threshold from the validation rows, as the
    temperature of the GPT's probabilities is. Where it is known how each message was made, `best_possible` is the
    accuracy of one who knows.

    Args:
        seed: of the run; the resamples that intervals come from follow from it.
    """
    model, tokenizer, facts = load_classifier(folder, device)
    classes = Classes.of(facts)
    labels = {side: label_numbers(rows.labels, classes.names, side) for side, rows in sides.items()}
    wanted, test = labels["test"], sides["test"]
    read = [sides[side].as_read(tokenizer, spelled_out=facts["spelled_out"]) for side in ("validation", "test")]
    validation_logits, logits = (class_logits(model, rows) for rows in read)
    probabilities = {GPT: class_probabilities(logits)}
    rules = {GPT: classes, "majority": classes.with_threshold(0.5)}
    probabilities["majority"] = majority_probabilities(labels["train"], len(wanted), len(classes.names))
    train, validation = ((sides[side].texts, labels[side]) for side in ("train", "validation"))
    for name, baseline in BASELINES.items():
        on_validation, probabilities[name] = baseline(train, validation, test.texts)
        rules[name] = with_best_threshold(classes, labels["validation"], on_validation, facts["threshold_for"])
    beginner = from_random(folder, read[1], device)
    for name, (rule, told) in beginner.items():
        rules[name], probabilities[name] = rule, told
    called = {name: rules[name].called(each) for name, each in probabilities.items()}

    def figures(name: str) -> dict[str, Any]:
        row = classifier_figures(wanted, probabilities[name], rules[name], settings.confidence)
        told = name not in NO_PROBABILITIES
        return row | resampled_bounds(wanted, probabilities[name], rules[name], settings.confidence, seed, told=told)

    def versus(name: str) -> dict[str, Any]:
        return versus_figures(wanted, called[GPT], called[name], classes, settings.confidence, seed)

    def beside(name: str) -> dict[str, Any]:
        return figures(name) | {"versus": versus(name)}

    temperature = fit_temperature(labels["validation"], validation_logits.double().numpy())
    scaled = with_temperature(logits.double().numpy(), temperature)
    result = figures(GPT) | {
        "rows": len(wanted),
        "confidence": settings.confidence,
        "baselines": {name: beside(name) for name in ("majority", *BASELINES)},
        **{name: beside(name) for name in beginner},
        "calibration": {"temperature": temperature} | calibration_figures(wanted, probabilities[GPT], scaled, classes),
    }
    if parts := slice_figures(test.texts, wanted, called[GPT], classes, settings.confidence):
        result["slices"] = parts
    if classes.has_positive:
        result["positive_rate"] = float(wanted.mean())
    if test.best_guesses and all(test.best_guesses):
        right = [guess == label for guess, label in zip(test.best_guesses, test.labels, strict=True)]
        result["best_possible"] = float(np.mean(right))
    samples = [
        {
            "text": text,
            "label": label,
            "called": classes.names[call],
            "probability": round(float(probability), 4),
            "right": classes.names[call] == label,
        }
        for text, label, call, probability in zip(
            test.texts, test.labels, called[GPT], classes.told(probabilities[GPT]), strict=True
        )
    ]
    shown = (GPT, "majority", *BASELINES)
    scores = ClassifierScores(
        classes, wanted, {name: probabilities[name] for name in shown}, {name: called[name] for name in shown}, scaled
    )
    return Evaluated(result, samples), scores
