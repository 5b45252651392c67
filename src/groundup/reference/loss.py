"""The loss of next-token prediction, one token at a time.

Source: the book's chapter 5.
"""

import torch
from torch import Tensor

IGNORE_INDEX = -100  # a target that nothing is asked of, such as padding


def log_softmax(scores: Tensor) -> Tensor:
    """The logarithm of each token's probability.

    Shapes:  (V,) -> (V,)
    """
    # log(exp(s) / sum exp) = s - log(sum exp); the largest score is taken out of the sum, so that exp never overflows.
    largest = scores.max()
    return scores - largest - torch.log(torch.exp(scores - largest).sum())


def token_loss(features: Tensor, head_weight: Tensor, targets: Tensor) -> Tensor:
    """Total surprise of the model at the right next tokens: minus the log of the probability it gave each, summed.

    Shapes:  features (B, T, C), head_weight (V, C), targets (B, T) with IGNORE_INDEX where nothing is asked -> scalar
    Units:   nats, summed
    Source:  the book's section 5.1
    """
    total = features.new_zeros(())
    for row, row_targets in zip(features, targets, strict=True):
        for feature, target in zip(row, row_targets, strict=True):
            if target == IGNORE_INDEX:
                continue
            scores = head_weight @ feature  # shape: (V,)
            total = total - log_softmax(scores)[target]
    return total
