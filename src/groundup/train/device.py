"""Work that keeps an accelerator busy: batches come early, blocks are compiled, and a step is recorded once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from groundup.fast_paths import taken
from groundup.model.gpt import Block
from groundup.train.step import Gradients, add_gradients

Made = TypeVar("Made")


def on_device(array: np.ndarray, device: torch.device) -> Tensor:
    """An array as a tensor on the device; a GPU fetches it from pinned memory, and nobody waits for that."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda" and taken("early_batches"):
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@contextmanager
def made_early(make: Callable[[int], Made], device: torch.device) -> Iterator[Callable[[int], Made]]:
    """`make`, whose result for the number after the one asked for is made in a thread meanwhile.

    On a CPU the thread would take its time from the training itself; there it is `make` alone.

    Args:
        make: a pure function of the number of a step.
    """
    if device.type == "cpu" or not taken("early_batches"):
        yield make
        return
    waiting: dict[int, Future[Made]] = {}
    with ThreadPoolExecutor(max_workers=1) as pool:

        def result_of(number: int) -> Made:
            asked = waiting.pop(number, None)
            result = asked.result() if asked else make(number)
            waiting[number + 1] = pool.submit(make, number + 1)
            return result

        try:
            yield result_of
        finally:
            for each in waiting.values():
                each.cancel()


def compile_blocks(model: nn.Module, *, backend: str = "inductor") -> None:
    """Let torch's compiler make kernels of each block; names and values of the weights stay as they are.

    All blocks have the same code, so it is compiled once for all of them.
    Oracle:  the model as it was
    """
    for module in model.modules():
        if isinstance(module, Block):
            module.compile(backend=backend)


WARM_UPS = 3  # before a step is recorded, so that libraries have chosen their ways by then


def gradients_on(device: torch.device, *, alike: bool) -> Gradients:
    """How to get the gradients of a step: from a recording if the device can make one, else the plain way.

    Args:
        alike: whether the batches of all steps have the same shapes and numbers of targets.
    """
    return RecordedGradients() if alike and device.type == "cuda" and taken("cuda_graphs") else add_gradients


class RecordedGradients:
    """The first step's kernels are recorded as a CUDA graph, and all steps play it, on numbers put where its were.

    Python takes longer to ask for the kernels of a small model than a GPU to run them.

    Oracle:  `step.add_gradients`
    Source:  https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self) -> None:
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(
        self,
        model: nn.Module,
        batches: Sequence[Any],
        loss_of: Callable[[nn.Module, Any], Tensor],
        precision: AbstractContextManager[None],
        n_targets: int,
    ) -> Tensor:
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if self._graph is None:
            self._record(weights, batches, lambda: add_gradients(model, batches, loss_of, precision, n_targets))
        for place, tensor in zip(self._inputs, _tensors(batches), strict=True):
            if place is not tensor:
                place.copy_(tensor)
        assert self._graph is not None
        self._graph.replay()
        for weight, gradient in zip(weights, self._gradients, strict=True):
            weight.grad = gradient
        return self._loss

    def _record(self, weights: Sequence[nn.Parameter], batches: Sequence[Any], run: Callable[[], Tensor]) -> None:
        random_state = torch.cuda.get_rng_state()  # as if nothing had been drawn before the first step
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                run()
                for weight in weights:
                    weight.grad = None
        torch.cuda.current_stream().wait_stream(beside)
        self._inputs = _tensors(batches)
        self._graph = torch.cuda.CUDAGraph()
        # The thread that makes batches early may go on meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._loss = run()
        self._gradients = [weight.grad for weight in weights]
        torch.cuda.set_rng_state(random_state)


def _tensors(batches: Sequence[Any]) -> list[Tensor]:
    return [part for batch in batches for part in vars(batch).values() if isinstance(part, Tensor)]
