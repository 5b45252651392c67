"""Training on a GPU beside the peers: the same shapes, tokens and AdamW, in one process.

Usage: python benchmarks/gpu.py [--rounds 3] [--shapes gpt2-124m default]

Several ways stand in the GPU's memory together and take their steps in turns, round after round, so that clocks and
neighbours meet them all. The memory of a way is the most that it took from its making to its third step. MFU is the
share of the GPU's peak (`--peak`, TFLOP/s of dense bf16; by default the datasheet's of an H100 or H200) that the
products of a model of this shape would take. Results go to `benchmarks/results/gpu.json`.
"""

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from machine import installed, write_results
from training import OURS, PACKAGE_OF, WARM_UP, Shape, book, groundup, hugging_face, lit_gpt

SHAPES = {
    "gpt2-124m": Shape(50257, 768, 12, 12, 16, 10, 1024),
    "default": Shape(1536, 192, 3, 3, 16, 100, 192),
}
COMPILED = f"{OURS}, compiled"
Step = Callable[[int], float]
Make = Callable[[Shape], Step]
# Those of a group are in memory at one time, all of them beside ours.
GROUPS: list[dict[str, Make]] = [
    {
        OURS: partial(groundup, device="cuda"),
        f"{COMPILED}, Muon": partial(groundup, device="cuda", compiled=True, optimizer="muon"),
        "transformers, bf16, compiled": partial(hugging_face, bf16=True, device="cuda", compiled=True),
        "transformers, bf16": partial(hugging_face, bf16=True, device="cuda"),
        "litgpt, bf16, compiled": partial(lit_gpt, bf16=True, device="cuda", compiled=True),
    },
    {
        f"{COMPILED}, not repeatable": lambda shape: not_repeatable(groundup(shape, "cuda", compiled=True)),
        "the book, bf16, dropout 0.1": partial(book, dropout=0.1, bf16=True, device="cuda"),
    },
]


def not_repeatable(step: Step) -> Step:
    """The same without torch's deterministic algorithms, which the peers do without as well."""
    import torch

    torch.set_deterministic_debug_mode("default")
    return step


def flops_of_a_token(shape: Shape) -> float:
    """Products of one trained token: six for each weight of a matrix, and attention over half of a context on average.

    Source: Chowdhery et al. 2022, "PaLM", appendix B, with causal attention counted as what it needs.
    """
    matrices = 12 * shape.n_layers * shape.d_model**2 + shape.vocab_size * shape.d_model
    return 6 * matrices + 6 * shape.n_layers * shape.d_model * shape.context_length


class Way:
    """One way in the GPU's memory, warmed up."""

    def __init__(self, make: Make, shape: Shape) -> None:
        import torch

        torch.set_deterministic_debug_mode("default")
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        self.shape, self.step = shape, make(shape)  # ours turns on torch's deterministic algorithms
        self.mode = torch.get_deterministic_debug_mode()
        self.first_loss = self.step(0)
        torch.cuda.synchronize()
        self.start_s = time.perf_counter() - began
        for number in range(1, 1 + WARM_UP):
            self.step(number)
        torch.cuda.synchronize()
        self.peak = torch.cuda.max_memory_allocated() - before

    def tokens_per_s(self) -> float:
        import torch

        torch.set_deterministic_debug_mode(self.mode)
        torch.cuda.synchronize()
        began = time.perf_counter()
        for number in range(self.shape.steps):
            self.step(number)
        torch.cuda.synchronize()
        return self.shape.tokens * self.shape.steps / (time.perf_counter() - began)


def compared(name: str, rounds: int, peak_tflops: float) -> list[dict[str, Any]]:
    """A row for each way: medians over the rounds, and how many times as fast ours, compiled, was in the same round."""
    import torch

    torch._dynamo.reset()
    shape = SHAPES[name]
    ours = Way(partial(groundup, device="cuda", compiled=True), shape)
    rows: list[dict[str, Any]] = []
    for group in GROUPS:
        makers = {way: make for way, make in group.items() if installed(PACKAGE_OF.get(way.split(",")[0], "torch"))}
        ways = {COMPILED: ours, **{way: Way(make, shape) for way, make in makers.items()}}
        found = [{way: each.tokens_per_s() for way, each in ways.items()} for _ in range(rounds)]
        for way, each in ways.items():
            if way == COMPILED and rows:
                continue
            speed = statistics.median(speeds[way] for speeds in found)
            ratios = [speeds[COMPILED] / speeds[way] for speeds in found]
            rows.append(
                {
                    "way": way,
                    "tokens_per_s": round(speed),
                    "mfu": round(speed * flops_of_a_token(shape) / (peak_tflops * 1e12), 4),
                    "memory_mib": round(each.peak / 2**20),
                    "first_loss_nats": round(each.first_loss, 4),
                    "start_s": round(each.start_s, 1),
                    "ours_is_faster": [
                        round(value, 2) for value in (statistics.median(ratios), min(ratios), max(ratios))
                    ],
                }
            )
        ways.clear()
        gc.collect()
        torch.cuda.empty_cache()
    return rows


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--peak", type=float, default=989.0)
    told = parser.parse_args()
    gpu = {"name": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "peak_tflops": told.peak}
    print(gpu)
    results: dict[str, Any] = {}
    for name in told.shapes:
        results[name] = compared(name, told.rounds, told.peak)
        print(f"\n{name}: {SHAPES[name]}")
        print(f"{'':34}{'tokens/s':>11}{'MFU':>7}{'MiB':>8}{'loss':>9}{'start':>7}   ours, compiled, is faster")
        for row in results[name]:
            figures = f"{row['tokens_per_s']:>11,}{row['mfu']:>7.1%}{row['memory_mib']:>8,}"
            figures += f"{row['first_loss_nats']:>9.4f}{row['start_s']:>6.0f}s"
            print(f"{row['way']:34}{figures}   " + "  ".join(f"{value:.2f}" for value in row["ours_is_faster"]))
        path = write_results("gpu", {"gpu": gpu, "rounds": told.rounds, "shapes": results})
    print(f"\n-- {path}")


if __name__ == "__main__":
    main()
