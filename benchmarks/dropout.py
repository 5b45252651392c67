"""Dropout as this project draws it beside torch's own: alone, and in a step of the default classifier's writing.

Usage: python benchmarks/dropout.py [ROUNDS]   (after `make repro`)
Both are timed in turns in one process; the figure is the median of torch's time over ours.
"""

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.model import attention, layers
from groundup.model.gpt import set_dropout
from groundup.model.loss import token_loss
from groundup.train.checkpoint import load_model

SHARE = 0.1
OURS = layers.dropout


def theirs(x: Tensor, share: float, training: bool) -> Tensor:
    return F.dropout(x, share, training)


def use(way: Callable[[Tensor, float, bool], Tensor]) -> None:
    layers.dropout = attention.drop = way  # type: ignore[assignment]


def seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def ratio(work: Callable[[], None], rounds: int) -> float:
    ratios = []
    for _ in range(rounds + 1):  # the first round warms up
        times = []
        for way in (theirs, OURS):
            use(way)
            times.append(seconds(work))
        ratios.append(times[0] / times[1])
    return statistics.median(ratios[1:])


def main(rounds: int) -> None:
    model, _, _ = load_model(Path("models/pretrained"))
    set_dropout(model, SHARE)
    model.train()
    tokens = torch.randint(model.config.vocab_size, (8, model.config.context_length + 1))
    weights = torch.rand(8, 4, 192, 192, dtype=torch.bfloat16, requires_grad=True)

    def alone() -> None:
        layers.dropout(weights, SHARE, True).sum().backward()

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            token_loss(model.features(tokens[:, :-1]), model.head_weight, tokens[:, 1:]).backward()
        model.zero_grad()

    print(f"on attention weights {tuple(weights.shape)}, forward and backward: {ratio(alone, rounds):.1f} times")
    print(f"in a step of {tokens[:, 1:].numel()} tokens of the default model: {ratio(step, rounds):.2f} times")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
