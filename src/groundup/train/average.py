"""The average of a training's last weights, which often does better than any of them."""

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of the trainable weights, and the means to let the model have it for a while.

    A step's weights count `decay` times as much as those of the step after it; in the first steps less, so that the
    weights that training began with are soon forgotten.

    Source: Polyak & Juditsky 1992, "Acceleration of Stochastic Approximation by Averaging"; the start is TensorFlow's.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.weights: list[Tensor] = [parameter.detach().clone() for parameter in self._parameters]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        decay = min(self.decay, step / (9 + step))
        torch._foreach_lerp_(self.weights, list[Tensor](self._parameters), 1 - decay)

    @contextlib.contextmanager
    def in_the_model(self) -> Iterator[None]:
        """While the block runs, the model has the average, and the average holds the model's own weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for parameter, weight in zip(self._parameters, self.weights, strict=True):
            own = parameter.detach().clone()
            parameter.copy_(weight)
            weight.copy_(own)

    def state(self) -> dict[str, Tensor]:
        """The average under the names of the weights."""
        return dict(zip(self.names, self.weights, strict=True))

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Go on from what `state` gave."""
        self.weights = [tensors[name] for name in self.names]
