"""Spam fine-tuning of a GPT-2 of 124 million parameters, last block trainable: this project beside the book's way.

Usage: python benchmarks/fine_tuning.py [--messages 200] [--epochs 5] [--rounds 1]

Both have random weights, which take as long as OpenAI's, and see the same messages, balanced, in batches of eight with
AdamW at 5e-5. The book (chapter 6, and its package `llms-from-scratch`) pads each message to the longest of all and
runs the whole model in fp32; ours runs the frozen blocks once, the last block for messages of like length, and its
attention for last tokens alone. Ways go in turns, each in a process of its own. Told beside the time are the loss of
the last epoch and, in fp32, the same training without what is kept, whose loss must be the same. Messages and
vocabulary are read from GROUNDUP_MIRROR, or ../shared/data. Results go to `benchmarks/results/fine_tuning.json`.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from machine import in_a_process, installed, write_results

VOCAB_SIZE, CONTEXT, D_MODEL, N_LAYERS, N_HEADS = 50257, 1024, 768, 12, 12
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, SEED = 8, 5e-5, 0.1, 123
OURS, PLAIN, BOOK = "groundup", "groundup, fp32, trunk each time", "the book"


def messages(n: int) -> tuple[list[list[int]], list[int]]:
    """Tokens and classes of messages, as many of each class, the first of the file."""
    from groundup.tokenizer.encoding import Tokenizer

    mirror = Path(os.environ.get("GROUNDUP_MIRROR", "../shared/data"))
    tokenizer = Tokenizer.load(mirror / "gpt2")
    lines = (mirror / "SMSSpamCollection").read_text(encoding="utf-8").splitlines()
    of_class: dict[str, list[str]] = {"ham": [], "spam": []}
    for line in lines:
        label, _, text = line.partition("\t")
        of_class[label].append(text)
    texts = [text for pair in zip(of_class["ham"], of_class["spam"], strict=False) for text in pair][:n]
    return [tokenizer.encode(text) for text in texts], [index % 2 for index in range(len(texts))]


def groundup(texts: list[list[int]], classes: list[int], epochs: int, keeps: bool, precision: str) -> float:
    """The stage `finetune-cls` on these messages, without validations; the loss of the last epoch."""
    import torch

    from groundup.config import RuntimeParams, load_params
    from groundup.data.token_store import TokenStore, write_token_store
    from groundup.model.gpt import GPT, GPTClassifier, GPTConfig, choose_trainable
    from groundup.tasks import classify
    from groundup.train.optimizer import make_optimizer
    from groundup.train.precision import autocast, prepare_runtime
    from groundup.train.step import training_step

    if not keeps:
        classify.fits = lambda *_: False  # type: ignore[assignment]
    device = prepare_runtime(RuntimeParams(device="cpu", threads=0, checkpoint_interval_s=30.0))
    torch.manual_seed(SEED)
    model = GPTClassifier(GPT(GPTConfig(VOCAB_SIZE, CONTEXT, D_MODEL, N_LAYERS, N_HEADS)), 2)
    choose_trainable(model, "last_block")
    settings = replace(
        load_params().finetune_cls,
        trainable="last_block",
        optimizer="adamw",
        learning_rate=LEARNING_RATE,
        weight_decay=WEIGHT_DECAY,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        dropout=0.0,
        language_weight=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        write_token_store(Path(folder), [*texts], vocab_size=VOCAB_SIZE)
        rows = classify.LabelledRows(TokenStore.load(Path(folder)), [""] * len(texts), [str(each) for each in classes])
        task = classify.ClassifyTask(rows, rows, ["0", "1"], settings, CONTEXT, SEED, device)
        optimizer, context = make_optimizer(model, settings), autocast(precision, device)  # type: ignore[arg-type]
        model.train()
        losses = [
            training_step(model, optimizer, task.batches(step), task.loss, context, 1.0).loss_nats  # type: ignore[arg-type]
            for step in range(task.max_steps)
        ]
    return sum(losses[-(task.max_steps // epochs) :]) / len(texts)


def book(texts: list[list[int]], classes: list[int], epochs: int) -> float:
    """The training of the book's chapter 6 with its model; the loss of the last epoch."""
    import torch
    import torch.nn.functional as F
    from llms_from_scratch.ch04 import GPTModel

    torch.manual_seed(SEED)
    model = GPTModel(
        {
            "vocab_size": VOCAB_SIZE,
            "context_length": CONTEXT,
            "emb_dim": D_MODEL,
            "n_heads": N_HEADS,
            "n_layers": N_LAYERS,
            "drop_rate": 0.0,
            "qkv_bias": True,
        }
    )
    model.requires_grad_(False)
    model.out_head = torch.nn.Linear(D_MODEL, 2)
    model.trf_blocks[-1].requires_grad_(True)
    model.final_norm.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    longest = max(map(len, texts))
    padded = torch.tensor([text + [VOCAB_SIZE - 1] * (longest - len(text)) for text in texts])
    wanted = torch.tensor(classes)
    model.train()
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(texts)).split(BATCH_SIZE):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(padded[chosen])[:, -1, :], wanted[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
    return total / len(texts)


WAYS: dict[str, Callable[..., float]] = {
    OURS: lambda *told: groundup(*told, keeps=True, precision="auto"),
    "groundup, fp32": lambda *told: groundup(*told, keeps=True, precision="fp32"),
    PLAIN: lambda *told: groundup(*told, keeps=False, precision="fp32"),
    BOOK: book,
}


def measured(way: str, n_messages: int, epochs: int) -> dict[str, float]:
    """Seconds, the making of the model included, and the last loss, in this process."""
    import torch  # noqa: F401  # its import is no part of a training

    texts, classes = messages(n_messages)
    began = time.perf_counter()
    loss = WAYS[way](texts, classes, epochs)
    return {"seconds": round(time.perf_counter() - began, 2), "loss_nats": loss}


def told_of(way: str, told: argparse.Namespace) -> dict[str, float]:
    found = in_a_process(__file__, way, "--messages", told.messages, "--epochs", told.epochs)
    print(f"{way:32}{found['seconds']:8.1f} s   loss {found['loss_nats']:.5f}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--way", choices=WAYS, help="train one way in this process")
    told = parser.parse_args()
    if told.way:
        print(json.dumps(measured(told.way, told.messages, told.epochs)))
        return
    ways = [way for way in WAYS if way != BOOK or installed("llms-from-scratch")]
    rounds = [{way: told_of(way, told) for way in ways} for _ in range(told.rounds)]
    for way in ways:
        ratios = [found[way]["seconds"] / found[OURS]["seconds"] for found in rounds]
        print(f"ours is {statistics.median(ratios):.1f} times as fast as: {way}")
    print(f"-- {write_results('fine_tuning', {'messages': told.messages, 'epochs': told.epochs, 'rounds': rounds})}")


if __name__ == "__main__":
    main()
