"""How long until a validation loss on tinyshakespeare: this project beside a `transformers` GPT-2 with AdamW.

Usage: python benchmarks/time_to_loss.py [--seeds 1 2 3] [--peer_s 180] [--ours_s 30 45] [--tune]

Both train the same shape on the same tokens for a given time, the learning rate following the share of that time that
is spent, so each is at its best when its time is over. The peer has three minutes; ours has fractions of that, each a
training of its own. A time is long enough if its loss is at or below the peer's. Both losses are those of the whole
validation text in fp32, in windows of the context; validation is not timed. `--tune` tries learning rates for the peer
instead, on the first seed. Each training is a process of its own. The text is read from GROUNDUP_MIRROR, or
../shared/data. Results go to `benchmarks/results/time_to_loss.json`.
"""

import argparse
import json
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from machine import in_a_process, write_results

VOCAB_SIZE, CONTEXT, D_MODEL, N_LAYERS, N_HEADS = 1024, 256, 192, 6, 6
TRAIN_SHARE = 0.9
WARM_UP_SHARE = 0.05
UNTIMED_STEPS = 2  # the first steps take memory and pack weights
PEER = {"learning_rate": 2e-3, "batch_size": 8}
OURS = {"learning_rate": 1e-2, "batch_size": 8}
RATES_OF_THE_PEER = (1e-3, 2e-3, 4e-3, 8e-3)

# A step at a learning rate, and the mean loss over rows of tokens.
Step = Callable[[Any, float], None]
Loss = Callable[[Any], float]


def text_sides() -> tuple[Any, Any]:
    """Tokens of the first 90 % of the text, which the vocabulary learns from, and of the rest."""
    import torch

    from groundup.tokenizer.bpe import train_bpe
    from groundup.tokenizer.encoding import Tokenizer

    path = Path(os.environ.get("GROUNDUP_MIRROR", "../shared/data")) / "tinyshakespeare.txt"
    text = path.read_text(encoding="utf-8")
    cut = int(TRAIN_SHARE * len(text))
    tokenizer = Tokenizer(train_bpe([text[:cut]], VOCAB_SIZE))
    train, validation = (torch.tensor(tokenizer.encode(part)) for part in (text[:cut], text[cut:]))
    return train, validation


def groundup(learning_rate: float, seed: int) -> tuple[Step, Loss]:
    """This project's training as the stage `pretrain` of the default does it: Muon, and heads that copy."""
    import torch

    from groundup.model.gpt import GPTConfig
    from groundup.model.initial import new_model
    from groundup.model.loss import token_loss
    from groundup.params_file import load_params
    from groundup.tasks.language import TokenBatch
    from groundup.train.optimizer import make_optimizer
    from groundup.train.precision import autocast, prepare_runtime
    from groundup.train.step import training_step

    device = prepare_runtime(replace(load_params().runtime, device="cpu"))
    settings = replace(load_params().pretrain, learning_rate=learning_rate)
    model = new_model(GPTConfig(VOCAB_SIZE, CONTEXT, D_MODEL, N_LAYERS, N_HEADS), settings.initial_weights, seed)
    optimizer, precision = make_optimizer(model, settings), autocast("auto", device)

    def loss_of(model: Any, batch: TokenBatch) -> Any:
        return token_loss(model.features(batch.input_ids), model.head_weight, batch.targets)

    def step(rows: Any, rate: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        n = rows[:, 1:].numel()
        training_step(model, optimizer, [TokenBatch(rows[:, :-1], rows[:, 1:], n, n)], loss_of, precision, 1.0)

    @torch.no_grad()
    def loss(rows: Any) -> float:
        model.eval()
        return float(token_loss(model.features(rows[:, :-1]), model.head_weight, rows[:, 1:])) / rows[:, 1:].numel()

    return step, loss


def hugging_face(learning_rate: float, seed: int) -> tuple[Step, Loss]:
    """The usual loop around `transformers`: bf16, fused AdamW, clipped gradients."""
    import torch
    import torch.nn.functional as F
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "vocab_size": VOCAB_SIZE,
        "n_positions": CONTEXT,
        "n_embd": D_MODEL,
        "n_layer": N_LAYERS,
        "n_head": N_HEADS,
    }
    model = GPT2LMHeadModel(GPT2Config(**shape, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False))
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def loss_of(rows: Any) -> Any:
        return F.cross_entropy(model(rows[:, :-1]).logits.flatten(0, 1).float(), rows[:, 1:].flatten())

    def step(rows: Any, rate: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.train()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = loss_of(rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    @torch.no_grad()
    def loss(rows: Any) -> float:
        model.eval()
        return float(loss_of(rows))

    return step, loss


WAYS = {"groundup": (groundup, OURS), "transformers": (hugging_face, PEER)}


def trained(way: str, budget_s: float, seed: int, learning_rate: float) -> dict[str, float]:
    """The loss after a time of training, in this process."""
    import torch

    train, validation = text_sides()
    make, settings = WAYS[way]
    step, loss = make(learning_rate, seed)
    generator = torch.Generator().manual_seed(seed)
    size, offsets = int(settings["batch_size"]), torch.arange(CONTEXT + 1)

    def rows() -> Any:
        starts = torch.randint(len(train) - CONTEXT - 1, (size, 1), generator=generator)
        return train[starts + offsets]

    for _ in range(UNTIMED_STEPS):
        step(rows(), 0.0)
    n_steps, began = 0, time.perf_counter()
    while (share := (time.perf_counter() - began) / budget_s) < 1:
        rising, falling = share / WARM_UP_SHARE, (share - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)
        step(rows(), learning_rate * (rising if rising < 1 else 0.5 * (1 + math.cos(math.pi * falling))))
        n_steps += 1
    n_windows = (len(validation) - 1) // CONTEXT
    starts = CONTEXT * torch.arange(n_windows)[:, None]
    windows = validation[starts + offsets]
    total = sum(loss(part) * len(part) for part in windows.split(16))
    return {"loss_nats": total / n_windows, "steps": n_steps, "tokens_per_s": n_steps * size * CONTEXT / budget_s}


def told_of(way: str, budget_s: float, seed: int, learning_rate: float) -> dict[str, float]:
    found = in_a_process(__file__, way, "--peer_s", budget_s, "--seeds", seed, "--rate", learning_rate)
    print(f"{way:14}{budget_s:6.0f} s, rate {learning_rate:.0e}, seed {seed}: {found}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--peer_s", type=float, default=180.0)
    parser.add_argument("--ours_s", type=float, nargs="+", default=[30.0, 45.0])
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--way", choices=WAYS, help="train one way in this process")
    parser.add_argument("--rate", type=float)
    told = parser.parse_args()
    if told.way:
        print(json.dumps(trained(told.way, told.peer_s, told.seeds[0], told.rate)))
        return
    if told.tune:
        for rate in RATES_OF_THE_PEER:
            told_of("transformers", told.peer_s, told.seeds[0], rate)
        return
    rows = []
    for seed in told.seeds:
        peer = told_of("transformers", told.peer_s, seed, PEER["learning_rate"])
        ours = {budget: told_of("groundup", budget, seed, OURS["learning_rate"]) for budget in told.ours_s}
        enough = [budget for budget, found in ours.items() if found["loss_nats"] <= peer["loss_nats"]]
        rows.append({"seed": seed, "transformers": peer, "groundup": ours, "long_enough_s": min(enough, default=None)})
    times = [row["long_enough_s"] or math.inf for row in rows]
    print(f"long enough, median of {len(rows)} seeds: {statistics.median(times):.0f} s of {told.peer_s:.0f} s")
    path = write_results("time_to_loss", {"peer_s": told.peer_s, "peer": PEER, "ours": OURS, "seeds": rows})
    print(f"-- {path}")


if __name__ == "__main__":
    main()
