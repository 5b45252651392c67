"""How the cost of a training step of this project grows with the model, the context and the batch.

Usage: python benchmarks/growth.py [--rounds 3]

From one middle shape, one size is changed at a time. Each shape is measured in a process of its own, all of them in
turns, round after round; a figure is told beside that of the middle shape in the same round. How cost grows with the
corpus is in `benchmarks/large_corpus.py` and `benchmarks/tokenizer.py`: a training step does not depend on it. Results
go to `benchmarks/results/growth.json`.
"""

import argparse
import statistics
from dataclasses import asdict, replace
from pathlib import Path

from machine import in_a_process, write_results
from training import OURS, Shape

MIDDLE = Shape(vocab_size=4096, d_model=256, n_layers=4, n_heads=4, batch_size=8, steps=6, context_length=256)
GROWS = {
    "d_model": [128, 256, 512, 768],
    "n_layers": [2, 4, 8, 12],
    "context_length": [64, 256, 512, 1024],
    "batch_size": [1, 8, 16, 32],
    "vocab_size": [1024, 4096, 16384, 50257],
}


def shapes() -> dict[tuple[str, int], Shape]:
    """Each shape to measure, by what was changed in it and to what; heads have 64 features each."""
    found = {}
    for name, sizes in GROWS.items():
        for size in sizes:
            shape = replace(MIDDLE, **{name: size})
            found[name, size] = replace(shape, n_heads=shape.d_model // 64)
    return found


def measured(shape: Shape) -> dict[str, float]:
    sizes = [f"--{name}={size}" for name, size in asdict(shape).items()]
    return in_a_process(str(Path(__file__).with_name("training.py")), OURS, *sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    by_shape = shapes()
    distinct = list(dict.fromkeys(by_shape.values()))
    rounds = [{shape: measured(shape) for shape in distinct} for _ in range(told.rounds)]
    rows = []
    print(f"beside {MIDDLE}")
    print(f"{'':16}{'size':>8}{'tokens/s':>10}{'MiB':>8}   time of a step, in steps of the middle shape")
    for (name, size), shape in by_shape.items():
        tokens = statistics.median(found[shape]["tokens_per_s"] for found in rounds)
        memory = statistics.median(found[shape]["memory_mib"] for found in rounds)
        seconds = [
            shape.tokens / found[shape]["tokens_per_s"] / (MIDDLE.tokens / found[MIDDLE]["tokens_per_s"])
            for found in rounds
        ]
        spread = [round(value, 2) for value in (statistics.median(seconds), min(seconds), max(seconds))]
        rows.append({"grows": name, "size": size, "tokens_per_s": round(tokens), "memory_mib": round(memory)})
        rows[-1]["step_beside_middle"] = spread
        print(f"{name:16}{size:>8,}{tokens:>10,.0f}{memory:>8,.0f}   " + "  ".join(f"{value:.2f}" for value in spread))
    print(f"-- {write_results('growth', {'rounds': told.rounds, 'middle': asdict(MIDDLE), 'rows': rows})}")


if __name__ == "__main__":
    main()
