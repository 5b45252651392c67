"""Training throughput and memory of this project beside its peers: the same shapes, tokens and AdamW, in one run.

Usage: python benchmarks/training.py [--rounds 3] [--shapes tiny small]   (or `make bench`)

Each way trains in a process of its own, since memory is taken and threads are bound for good; the ways go in turns,
round after round, so that a slow minute of a shared machine meets them all. A ratio is taken within a round, and the
median of the rounds is told with the lowest and the highest. Peers: `transformers`, and `litgpt` and the book's code
(`llms-from-scratch`) where they are installed. Results go to `benchmarks/results/training.json`.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from machine import earlier_results, gpt2_config, in_a_process, installed, write_results

WARM_UP = 2
OURS = "groundup"


@dataclass(frozen=True)
class Shape:
    """A GPT-2 of some size and how it is trained. Units: `steps` timed after the warm-up."""

    vocab_size: int
    d_model: int
    n_layers: int
    n_heads: int
    batch_size: int
    steps: int
    context_length: int = 256

    @property
    def tokens(self) -> int:
        return self.batch_size * self.context_length


SHAPES = {
    "default": Shape(1536, 192, 3, 3, 16, 20, 192),
    "tiny": Shape(4096, 192, 6, 6, 16, 8),
    "small": Shape(8192, 384, 6, 6, 16, 4),
    "gpt2-124m": Shape(50257, 768, 12, 12, 16, 1),
}


def batch_of(shape: Shape, step: int, device: str) -> Any:
    """Token ids of a step, the same for every way. Shapes: (B, T + 1)"""
    import torch

    generator = torch.Generator(device).manual_seed(step)
    size = (shape.batch_size, shape.context_length + 1)
    return torch.randint(shape.vocab_size, size, generator=generator, device=device)


def groundup(
    shape: Shape, device: str = "cpu", compiled: bool = False, optimizer: Literal["adamw", "muon"] = "adamw"
) -> Callable[[int], float]:
    """A step of this project, as its stages take it."""
    import torch

    from groundup import fast_paths
    from groundup.model.gpt import GPT, GPTConfig
    from groundup.model.loss import token_loss
    from groundup.params_file import load_params
    from groundup.tasks.language import TokenBatch
    from groundup.train.device import compile_blocks, gradients_on
    from groundup.train.optimizer import make_optimizer
    from groundup.train.precision import autocast, prepare_runtime
    from groundup.train.step import training_step

    place = prepare_runtime(replace(load_params().runtime, device=device, compile=compiled))
    settings = replace(load_params().pretrain, optimizer=optimizer, learning_rate=1e-3)
    torch.manual_seed(0)
    config = GPTConfig(shape.vocab_size, shape.context_length, shape.d_model, shape.n_layers, shape.n_heads)
    model = GPT(config).to(place)
    if compiled:
        compile_blocks(model)
    updates = make_optimizer(model, settings)
    precision, gradients = autocast("auto", place), gradients_on(place, alike=True)
    model.train()

    def loss_of(model: Any, batch: TokenBatch) -> Any:
        return token_loss(model.features(batch.input_ids), model.head_weight, batch.targets)

    def step(number: int) -> float:
        fast_paths.choose(compiled=compiled)  # other ways may stand beside this one
        tokens = batch_of(shape, number, device)
        batch = TokenBatch(tokens[:, :-1], tokens[:, 1:], shape.tokens, shape.tokens)
        result = training_step(model, updates, [batch], loss_of, precision, 1.0, gradients)
        return result.loss_nats / shape.tokens

    return step


def stepping(
    model: Any, loss_of: Callable[[Any], Any], shape: Shape, bf16: bool, device: str = "cpu", compiled: bool = False
) -> Callable[[int], float]:
    """A step of a peer: the usual loop of torch, with the fused AdamW and clipped gradients that ours has too."""
    import torch

    model.to(device)
    if compiled:  # with the loss, which is a good part of the work
        loss_of = torch.compile(loss_of)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    model.train()

    def step(number: int) -> float:
        tokens = batch_of(shape, number, device)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            loss = loss_of(tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.item())

    return step


def hugging_face(shape: Shape, bf16: bool, device: str = "cpu", compiled: bool = False) -> Callable[[int], float]:
    import torch
    import torch.nn.functional as F
    from transformers import GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(gpt2_config(shape, use_cache=False))

    def loss_of(tokens: Any) -> Any:
        logits = model(tokens[:, :-1]).logits
        return F.cross_entropy(logits.flatten(0, 1).float(), tokens[:, 1:].flatten())

    return stepping(model, loss_of, shape, bf16, device, compiled)


def lit_gpt(shape: Shape, bf16: bool, device: str = "cpu", compiled: bool = False) -> Callable[[int], float]:
    """It has no learned positions: a share of the features is rotated instead, here the smallest that it can do."""
    import torch
    import torch.nn.functional as F
    from litgpt.config import Config
    from litgpt.model import GPT

    torch.manual_seed(0)
    model = GPT(
        Config(
            name="gpt2",
            block_size=shape.context_length,
            padded_vocab_size=shape.vocab_size,
            n_embd=shape.d_model,
            n_layer=shape.n_layers,
            n_head=shape.n_heads,
            rotary_percentage=2 * shape.n_heads / shape.d_model,
            parallel_residual=False,
            bias=True,
            norm_class_name="LayerNorm",
            mlp_class_name="GptNeoxMLP",
            intermediate_size=4 * shape.d_model,
            gelu_approximate="tanh",
        )
    )
    model.lm_head.weight = model.transformer.wte.weight
    for parameter in model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.02)

    def loss_of(tokens: Any) -> Any:
        return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1).float(), tokens[:, 1:].flatten())

    return stepping(model, loss_of, shape, bf16, device, compiled)


def book(shape: Shape, dropout: float, bf16: bool = False, device: str = "cpu") -> Callable[[int], float]:
    import torch
    import torch.nn.functional as F
    from llms_from_scratch.ch04 import GPTModel

    torch.manual_seed(0)
    model = GPTModel(
        {
            "vocab_size": shape.vocab_size,
            "context_length": shape.context_length,
            "emb_dim": shape.d_model,
            "n_heads": shape.n_heads,
            "n_layers": shape.n_layers,
            "drop_rate": dropout,
            "qkv_bias": True,
        }
    )

    def loss_of(tokens: Any) -> Any:
        return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())

    return stepping(model, loss_of, shape, bf16, device)


WAYS: dict[str, Callable[[Shape], Callable[[int], float]]] = {
    OURS: groundup,
    "transformers, fp32": lambda shape: hugging_face(shape, bf16=False),
    "transformers, bf16": lambda shape: hugging_face(shape, bf16=True),
    "litgpt, bf16": lambda shape: lit_gpt(shape, bf16=True),
    "the book, dropout 0.1": lambda shape: book(shape, 0.1),
    "the book": lambda shape: book(shape, 0.0),
}

PACKAGE_OF = {"transformers": "transformers", "litgpt": "litgpt", "the book": "llms-from-scratch"}


def measured(way: str, shape: Shape) -> dict[str, float]:
    """Tokens a second, the largest memory and the last loss of a way, in this process."""
    step = WAYS[way](shape)
    for number in range(WARM_UP):
        step(number)
    began = time.perf_counter()
    for number in range(WARM_UP, WARM_UP + shape.steps):
        loss = step(number)
    spent = time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"tokens_per_s": shape.tokens * shape.steps / spent, "memory_mib": memory, "loss_nats": loss}


def compared(name: str, ways: list[str], rounds: int) -> list[dict[str, Any]]:
    """A row for each way: medians over the rounds, and how many times as fast ours was."""
    found = [{way: in_a_process(__file__, way, "--shapes", name) for way in ways} for _ in range(rounds)]
    rows = []
    for way in ways:
        ratios = [each[OURS]["tokens_per_s"] / each[way]["tokens_per_s"] for each in found]
        rows.append(
            {
                "way": way,
                "tokens_per_s": round(statistics.median(each[way]["tokens_per_s"] for each in found)),
                "memory_mib": round(statistics.median(each[way]["memory_mib"] for each in found)),
                "loss_nats": round(found[-1][way]["loss_nats"], 4),
                "ours_is_faster": [round(value, 2) for value in (statistics.median(ratios), min(ratios), max(ratios))],
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["default", "tiny", "small"])
    parser.add_argument("--way", choices=WAYS, help="measure one way in this process")
    sizes = [each.name for each in fields(Shape)]
    for name in sizes:
        parser.add_argument(f"--{name}", type=int, help="of the shape that --way measures")
    told = parser.parse_args()
    if told.way:
        changed = {name: size for name in sizes if (size := getattr(told, name)) is not None}
        print(json.dumps(measured(told.way, replace(SHAPES[told.shapes[0]], **changed))))
        return
    ways = [way for way in WAYS if installed(PACKAGE_OF.get(way.split(",")[0], "torch"))]
    results = {}
    for name in told.shapes:
        results[name] = compared(name, ways, told.rounds)
        print(f"\n{name}: {SHAPES[name]}")
        print(f"{'':24}{'tokens/s':>10}{'MiB':>8}{'loss':>9}   ours is faster (median, lowest, highest)")
        for row in results[name]:
            figures = f"{row['tokens_per_s']:>10,}{row['memory_mib']:>8,}{row['loss_nats']:>9.4f}"
            print(f"{row['way']:24}{figures}   " + "  ".join(f"{value:.2f}" for value in row["ours_is_faster"]))
    # A large shape takes long, so each may be measured by itself: the others stay as they were.
    earlier = earlier_results("training")
    rounds = {**earlier.get("rounds", {}), **dict.fromkeys(results, told.rounds)}
    results = {**earlier.get("shapes", {}), **results}
    print(f"\n-- {write_results('training', {'rounds': rounds, 'shapes': results})}")


if __name__ == "__main__":
    main()
