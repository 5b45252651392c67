"""Instructions that share rows of tokens, beside instructions with a row each: padding, speed, and the same loss.

Usage: python benchmarks/packing.py [--rounds 3] [--cases sample tail book]

An epoch of fine-tuning on instructions, all layers trainable, in four ways: batches of rows of like length, as the
stage takes them, or of rows in random order; each text in a row of its own, or packed. Cases: the default model on
texts as long as the sample instructions; a GPT-2 of 124 million parameters on the first instructions of the book (read
from GROUNDUP_MIRROR, or ../shared/data) and on few texts of very different lengths, many in a batch. Tokens and weights
are random, which takes as long. Ways go in turns, each in a process of its own; a ratio is taken within a round, and
the median of the rounds is told with the lowest and the highest. Before that, the losses of an epoch, packed and not,
must be equal in fp32. Results go to `benchmarks/results/packing.json`.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from machine import in_a_process, write_results

SEED = 123
PLAIN, CHECK = "like length", "losses"
WAYS = {  # whether the order is random, and whether texts are packed
    PLAIN: (False, False),
    "like length, packed": (False, True),
    "random": (True, False),
    "random, packed": (True, True),
}
SAME = 1e-6  # fp32 rounds to 6e-8 of a number; sums of some thousand that run in another order differ by a few of these


@dataclass(frozen=True)
class Case:
    """A model, and the texts that it is trained on.

    Args:
        lengths: how many tokens the texts have, the prompt first.
        asked: the share of a text that is its answer.
    """

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    context_length: int
    batch_size: int
    lengths: Callable[[], np.ndarray]
    asked: float


def sample_lengths() -> np.ndarray:
    """As those of the sample instructions: 41 to 77 tokens, 54 on average."""
    drawn = np.random.default_rng(SEED).normal(54, 8, 360)
    return np.clip(drawn, 41, 77).astype(int)


def book_lengths() -> np.ndarray:
    from groundup.data.instructions import format_prompt, read_instructions
    from groundup.tokenizer.encoding import Tokenizer

    mirror = Path(os.environ.get("GROUNDUP_MIRROR", "../shared/data"))
    tokenizer = Tokenizer.load(mirror / "gpt2")
    rows = read_instructions(mirror / "instruction-data.json")[:48]
    texts = [format_prompt(row.instruction, row.input) + row.output for row in rows]
    return np.array([len(tokenizer.encode(text)) + 1 for text in texts])


def tail_lengths() -> np.ndarray:
    """Half below 130 tokens, and one in twenty above 480."""
    drawn = np.random.default_rng(SEED).lognormal(np.log(130), 0.8, 32)
    return np.clip(drawn, 40, 1024).astype(int)


CASES = {
    "sample": Case(1536, 192, 3, 3, 192, 24, sample_lengths, 0.15),
    "tail": Case(50257, 768, 12, 12, 1024, 16, tail_lengths, 0.5),
    "book": Case(50257, 768, 12, 12, 1024, 8, book_lengths, 0.25),
}


def task_of(case: Case, random_order: bool, packing: bool) -> Any:
    """The stage's task for an epoch of random texts of the case's lengths."""
    import torch

    from groundup.data.batches import Epochs
    from groundup.data.instructions import Instruction
    from groundup.data.token_store import TokenStore
    from groundup.params_file import load_params
    from groundup.tasks.instruct import InstructionRows, InstructTask

    lengths, generator = case.lengths(), np.random.default_rng(SEED)
    tokens = generator.integers(case.vocab_size, size=lengths.sum())
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    prompts = np.maximum(1, lengths - np.ceil(case.asked * lengths).astype(int))
    rows = InstructionRows(TokenStore(tokens, offsets), prompts, [Instruction("", "", "")] * len(lengths))
    settings = replace(load_params().finetune_instruct, batch_size=case.batch_size, epochs=1, packing=packing)
    task = InstructTask(rows, rows, None, settings, case.context_length, SEED, torch.device("cpu"))  # type: ignore[arg-type]
    if random_order:
        order = generator.permutation(task.fitting)
        batches = [order[at : at + case.batch_size] for at in range(0, len(order), case.batch_size)]
        task.epochs = Epochs(lambda _: batches, n_epochs=1, per_step=1)
    return task


def model_of(case: Case) -> Any:
    import torch

    from groundup.model.gpt import GPT, GPTConfig

    torch.manual_seed(SEED)
    return GPT(GPTConfig(case.vocab_size, case.context_length, case.d_model, case.n_layers, case.n_heads))


def measured(way: str, case: Case) -> dict[str, float]:
    """Tokens a second, padding not counted, and the share that is padding, of a second epoch in this process."""
    from groundup.params_file import load_params
    from groundup.train.optimizer import make_optimizer
    from groundup.train.precision import autocast, prepare_runtime
    from groundup.train.step import training_step

    device = prepare_runtime(replace(load_params().runtime, device="cpu"))
    task, model = task_of(case, *WAYS[way]), model_of(case)
    optimizer, precision = make_optimizer(model, task.settings), autocast("auto", device)
    model.train()

    def step(number: int) -> int:
        return training_step(model, optimizer, task.batches(number), task.loss, precision, 1.0).n_tokens

    for number in range(task.max_steps):  # the first product of a shape takes longer, and epochs repeat the shapes
        step(number)
    began = time.perf_counter()
    n_tokens = sum(step(number) for number in range(task.max_steps))
    spent = time.perf_counter() - began
    laid = sum(batch.input_ids.numel() for number in range(task.max_steps) for batch in task.batches(number))
    return {"tokens_per_s": n_tokens / spent, "padded": 1 - n_tokens / laid}


def losses(case: Case) -> dict[str, float]:
    """The loss of all texts in fp32, packed and not, batch by batch with the same weights."""
    import torch

    model = model_of(case)
    found = {}
    for way in WAYS:
        task = task_of(case, *WAYS[way])
        with torch.no_grad():
            steps = [task.batches(number) for number in range(task.max_steps)]
            found[way] = sum(task.loss(model, batch).item() for batches in steps for batch in batches)
    return found


def compared(name: str, rounds: int) -> list[dict[str, Any]]:
    """A row for each way: medians over the rounds, and how many times as fast as the stage's way it was.

    Raises: SystemExit if a packed epoch has another loss.
    """
    loss = in_a_process(__file__, CHECK, "--cases", name)
    if any(abs(loss[way] / loss[PLAIN] - 1) > SAME for way in WAYS):
        sys.exit(f"{name}: the losses differ: {loss}")
    found = [{way: in_a_process(__file__, way, "--cases", name) for way in WAYS} for _ in range(rounds)]
    rows = []
    for way in WAYS:
        ratios = [each[way]["tokens_per_s"] / each[PLAIN]["tokens_per_s"] for each in found]
        rows.append(
            {
                "way": way,
                "tokens_per_s": round(statistics.median(each[way]["tokens_per_s"] for each in found)),
                "padded": round(found[0][way]["padded"], 3),
                "loss_nats_fp32": loss[way],
                "speed": [round(value, 2) for value in (statistics.median(ratios), min(ratios), max(ratios))],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=["sample", "tail"])
    parser.add_argument("--way", choices=[*WAYS, CHECK], help="measure one way in this process")
    told = parser.parse_args()
    if told.way:
        case = CASES[told.cases[0]]
        print(json.dumps(losses(case) if told.way == CHECK else measured(told.way, case)))
        return
    results = {}
    for name in told.cases:
        results[name] = compared(name, told.rounds)
        print(f"\n{name}: {CASES[name].batch_size} texts a batch")
        print(f"{'':24}{'tokens/s':>10}{'padded':>9}   speed beside {PLAIN} (median, lowest, highest)")
        for row in results[name]:
            figures = f"{row['tokens_per_s']:>10,}{row['padded']:>9.1%}"
            print(f"{row['way']:24}{figures}   " + "  ".join(f"{value:.2f}" for value in row["speed"]), flush=True)
    print(f"\n-- {write_results('packing', {'rounds': told.rounds, 'cases': results})}")


if __name__ == "__main__":
    main()
