"""AdamW, with weight decay where it belongs."""

import torch
from torch import nn

from groundup.config import TrainingParams


def make_optimizer(model: nn.Module, settings: TrainingParams) -> torch.optim.AdamW:
    """AdamW over the trainable weights: matrices decay towards zero, biases and norm gains do not.

    Source: Loshchilov & Hutter 2019, "Decoupled Weight Decay Regularization"; the groups are GPT-2's and GPT-3's habit.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {
            "params": [parameter for parameter in trainable if parameter.dim() >= 2],
            "weight_decay": settings.weight_decay,
        },
        {"params": [parameter for parameter in trainable if parameter.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        fused=True,
    )
