"""What it saves to keep freed memory (`train.precision.keep_freed_memory`), in training steps of the default model.

Usage: python benchmarks/freed_memory.py [ROUNDS]   (after `make repro`)
Both ways run in turns, each in a process of its own, since the C library cannot be told to forget it; the figure is the
median of the time of a step without over that with. Page faults and memory are those of one process.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from groundup.data.token_store import TokenStore
from groundup.model.gpt import GPTConfig
from groundup.model.initial import new_model
from groundup.params_file import load_params
from groundup.tasks.language import LanguageTask
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.optimizer import make_optimizer
from groundup.train.precision import autocast, prepare_runtime
from groundup.train.step import training_step

WARM_UP, STEPS = 5, 20


def measured(keeps: bool) -> dict[str, float]:
    """Time and page faults of a step, and the largest memory, in this process."""
    params, corpus = load_params(), Path("data/splits/corpus")
    device = prepare_runtime(replace(params.runtime, device="cpu", without=() if keeps else ("kept_memory",)))
    tokenizer = Tokenizer.load(Path("data/tokens/tokenizer"))
    train, validation = (TokenStore.load(corpus / side) for side in ("train", "validation"))
    length = params.model.context_length
    task = LanguageTask(train, validation, tokenizer, params.pretrain, length, params.seed, device)
    config = GPTConfig(vocab_size=tokenizer.vocab_size, **vars(params.model))
    model = new_model(config, params.pretrain.initial_weights, params.seed)
    optimizer, context = make_optimizer(model, params.pretrain), autocast("auto", device)

    def loss_of(model: Any, batch: Any) -> Tensor:
        return task.loss(model, batch)

    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        training_step(model, optimizer, task.batches(step), loss_of, context, params.pretrain.max_grad_norm)
    spent, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF)
    return {
        "milliseconds": spent / STEPS * 1e3,
        "faults": (after.ru_minflt - before.ru_minflt) / STEPS,
        "memory_mib": after.ru_maxrss / 1024,
    }


def in_a_process(keeps: bool) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, f"--keeps={keeps}"], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main(rounds: int) -> None:
    pairs = [(in_a_process(False), in_a_process(True)) for _ in range(rounds)]
    ratios = [without["milliseconds"] / kept["milliseconds"] for without, kept in pairs]
    print(
        f"a step takes {statistics.median(ratios):.2f} times as long without ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    for name, number in (("without", 0), ("with", 1)):
        one = pairs[-1][number]
        print(f"{name}: {one['milliseconds']:.0f} ms, {one['faults']:.0f} page faults, {one['memory_mib']:.0f} MiB")


if __name__ == "__main__":
    argument = sys.argv[1] if len(sys.argv) > 1 else "5"
    if argument.startswith("--keeps="):
        print(json.dumps(measured(argument == "--keeps=True")))
    else:
        main(int(argument))
