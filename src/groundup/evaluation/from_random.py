"""The classifier that began with random weights, where the stage before trained one: the difference is what pretraining
buys.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.evaluation.intervals import mcnemar_p_value
from groundup.tasks.classes import Classes
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities
from groundup.tasks.fine_tune_classifier import FROM_RANDOM
from groundup.train.checkpoint import load_classifier


def from_random_entry(
    folder: Path,
    test: LabelledRows,
    labels: np.ndarray,
    called: np.ndarray,
    figures: Callable[[np.ndarray, Classes], dict[str, Any]],
    device: torch.device,
) -> dict[str, Any]:
    """Its figures under its name, as those of the baselines; nothing if it was not trained.

    `p_value` is McNemar's: how probable it is that two equally good classifiers differ this much on these messages.

    Args:
        folder: of the classifier beside which it lies.
        labels, called: of the test rows, what they are and what the pretrained classifier calls them.
        figures: those of some probabilities and the rule by which they become calls.
    Shapes:  labels (N,), called (N,)
    """
    if not (folder / FROM_RANDOM).is_dir():
        return {}
    model, _, facts = load_classifier(folder / FROM_RANDOM, device)
    rule, probabilities = Classes.of(facts), class_probabilities(class_logits(model, test))
    p_value = mcnemar_p_value(called == labels, rule.called(probabilities) == labels)
    return {FROM_RANDOM: figures(probabilities, rule) | {"p_value": p_value}}
