"""One optimizer step."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from groundup.train.optimizer import Optimizer


class Batch(Protocol):
    """Inputs with the number of targets that the loss sums over."""

    n_targets: int
    n_tokens: int


@dataclass(frozen=True)
class StepResult:
    """What one step saw.

    Units: `loss_nats` summed over `n_targets`; `grad_norm` before clipping.
    """

    loss_nats: float
    n_targets: int
    n_tokens: int
    grad_norm: float


Gradients = Callable[
    [nn.Module, Sequence[Any], Callable[[nn.Module, Any], Tensor], AbstractContextManager[None], int], Tensor
]


def add_gradients(
    model: nn.Module,
    batches: Sequence[Any],
    loss_of: Callable[[nn.Module, Any], Tensor],
    precision: AbstractContextManager[None],
    n_targets: int,
) -> Tensor:
    """The loss of all batches in nats; what each weight changes of it, per target, is added to the gradients."""
    total = torch.zeros(())
    for batch in batches:
        with precision:
            loss = loss_of(model, batch)
        (loss / n_targets).backward()
        total = total + loss.detach()
    return total


def training_step(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Sequence[Batch],
    loss_of: Callable[[nn.Module, Any], Tensor],
    precision: AbstractContextManager[None],
    max_grad_norm: float,
    gradients: Gradients = add_gradients,
) -> StepResult:
    """Zero the gradients, add those of each batch, clip, update.

    The loss is a sum over targets, divided once by the targets of the whole step. So a step over four batches of
    eight, of whatever lengths, is the same update as one over thirty-two.
    """
    optimizer.zero_grad()
    n_targets = sum(batch.n_targets for batch in batches)
    loss = gradients(model, batches, loss_of, precision, n_targets)
    grad_norm = nn.utils.clip_grad_norm_(model.parameters(), max_grad_norm)
    optimizer.step()
    return StepResult(loss.item(), n_targets, sum(batch.n_tokens for batch in batches), grad_norm.item())
