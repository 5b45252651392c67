"""LoRA: fine-tuning through a product of two narrow matrices beside each frozen one.

The change that fine-tuning makes to a matrix needs few directions. So the matrix W stays as it is, and what is trained
is B A, of `rank` directions: y = W x + (alpha / rank) B A x. B begins at zero, so that training begins with the model
as it is; in the end W + (alpha / rank) B A is one matrix again, and the model as fast as before.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models"; the book's appendix E.
"""

import math
from collections.abc import Iterable, Iterator
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.config import LoraParams

Layer = TypeVar("Layer", bound=nn.Module)


class LoraLinear(nn.Module):
    """A frozen linear layer, and the low-rank change to it that is learned.

    Shapes:  (..., in) -> (..., out); down (rank, in), up (out, rank)
    """

    def __init__(self, frozen: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.frozen, self.scale = frozen, alpha / rank
        self.down = nn.Parameter(frozen.weight.new_empty(rank, frozen.in_features))
        self.up = nn.Parameter(frozen.weight.new_zeros(frozen.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return self.frozen(x) + self.scale * F.linear(F.linear(x, self.down), self.up)

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The frozen layer with the change in it."""
        self.frozen.weight += self.scale * self.up @ self.down
        return self.frozen


def add_lora(blocks: Iterable[nn.Module], settings: LoraParams) -> None:
    """Put a low-rank change beside each target of each block; rank 0 puts none. The rest is left as it is."""
    if not settings.rank:
        return
    for parent, name, layer in list(_layers(blocks, nn.Linear)):
        if name in settings.targets:
            setattr(parent, name, LoraLinear(layer, settings.rank, settings.alpha))


def merge_lora(model: nn.Module) -> None:
    """Turn each layer with a change beside it back into one linear layer."""
    for parent, name, layer in list(_layers([model], LoraLinear)):
        setattr(parent, name, layer.merged())


def _layers(modules: Iterable[nn.Module], kind: type[Layer]) -> Iterator[tuple[nn.Module, str, Layer]]:
    """Each layer of a kind, with the module that it is part of and its name there."""
    for module in modules:
        for parent in module.modules():
            for name, layer in parent.named_children():
                if isinstance(layer, kind):
                    yield parent, name, layer
