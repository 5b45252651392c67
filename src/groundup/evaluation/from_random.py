"""The classifier that began with random weights, where the stage before trained one: the difference is what pretraining
buys.
"""

from pathlib import Path

import numpy as np
import torch

from groundup.config import FROM_RANDOM
from groundup.tasks.classes import Classes
from groundup.tasks.classify import LabelledRows, class_logits, class_probabilities
from groundup.train.checkpoint import load_classifier


def from_random(folder: Path, test: LabelledRows, device: torch.device) -> dict[str, tuple[Classes, np.ndarray]]:
    """Its rule for calling and its probabilities of the test rows, under its name; nothing if it was not trained.

    Args:
        folder: of the classifier beside which it lies.
        test: with the tokens that both read.
    Shapes:  probabilities (N, K)
    """
    if not (folder / FROM_RANDOM).is_dir():
        return {}
    model, _, facts = load_classifier(folder / FROM_RANDOM, device)
    return {FROM_RANDOM: (Classes.of(facts), class_probabilities(class_logits(model, test)))}
