"""Work that keeps an accelerator busy: its batches come early, and a model's blocks are compiled for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from groundup.fast_paths import taken
from groundup.model.gpt import Block

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
