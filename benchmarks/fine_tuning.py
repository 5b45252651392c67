"""Spam fine-tuning of a GPT-2 of 124 million parameters, last block trainable: this project beside the book's way.

Usage: python benchmarks/fine_tuning.py [--messages 200] [--epochs 5] [--rounds 3]

Both begin with the same random weights, which take as long as OpenAI's, and see the same messages, balanced, in
batches of eight with AdamW at 5e-5. The book (chapter 6, and its package `llms-from-scratch`) pads each message to the
longest of all and runs the whole model in fp32; ours runs the frozen blocks once, the last block for messages of like
length, and its attention for last tokens alone. Ways go in turns, each in a process of its own; what is timed is the
training of a model that is in memory. Told beside the time are the loss of the last epoch and the accuracy on as many
messages that were not trained on. In fp32, the same training without what is kept must end with the same loss. Messages
and vocabulary are read from GROUNDUP_MIRROR, or ../shared/data. Results go to `benchmarks/results/fine_tuning.json`.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from machine import in_a_process, installed, write_results

from groundup.config import Precision

VOCAB_SIZE, CONTEXT, D_MODEL, N_LAYERS, N_HEADS = 50257, 1024, 768, 12, 12
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, SEED = 8, 5e-5, 0.1, 123
OURS, PLAIN, BOOK = "groundup", "groundup, fp32, trunk each time", "the book"

# One training, which gives the loss of its last epoch, and after it the scores of texts. Shapes: N texts -> (N, 2)
Way = tuple[Callable[[], float], Callable[[list[list[int]]], Any]]


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


def new_model() -> Any:
    """The classifier that every way begins with."""
    import torch

    from groundup.model.gpt import GPT, GPTClassifier, GPTConfig

    torch.manual_seed(SEED)
    return GPTClassifier(GPT(GPTConfig(VOCAB_SIZE, CONTEXT, D_MODEL, N_LAYERS, N_HEADS)), 2)


def groundup(texts: list[list[int]], classes: list[int], epochs: int, keeps: bool, precision: Precision) -> Way:
    """The stage `finetune-cls` on these messages, without validations."""
    import torch

    from groundup.data.token_store import TokenStore, write_token_store
    from groundup.model.gpt import choose_trainable
    from groundup.params_file import load_params
    from groundup.tasks import classify
    from groundup.train.optimizer import make_optimizer
    from groundup.train.precision import autocast, prepare_runtime
    from groundup.train.step import training_step

    if not keeps:
        classify.fits = lambda *_: False
    device = prepare_runtime(replace(load_params().runtime, device="cpu"))
    model = new_model()
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
    context = autocast(precision, device)

    def rows_of(texts: list[list[int]], classes: list[int], folder: str) -> classify.LabelledRows:
        write_token_store(Path(folder), [*texts], vocab_size=VOCAB_SIZE)
        return classify.LabelledRows(TokenStore.load(Path(folder)), [""] * len(texts), [str(each) for each in classes])

    def train() -> float:
        with tempfile.TemporaryDirectory() as folder:
            rows = rows_of(texts, classes, folder)
            task = classify.ClassifyTask(rows, rows, ["0", "1"], settings, CONTEXT, SEED, device)
            optimizer = make_optimizer(model, settings)
            loss_of: Callable[[Any, Any], Any] = task.loss
            model.train()
            losses = [
                training_step(model, optimizer, task.batches(step), loss_of, context, 1.0).loss_nats
                for step in range(task.max_steps)
            ]
        return sum(losses[-(task.max_steps // epochs) :]) / len(texts)

    def scores(others: list[list[int]]) -> Any:
        with tempfile.TemporaryDirectory() as folder, context, torch.no_grad():
            return classify.class_logits(model, rows_of(others, [0] * len(others), folder))

    return train, scores


def book(texts: list[list[int]], classes: list[int], epochs: int) -> Way:
    """The training of the book's chapter 6 with its model."""
    import torch
    import torch.nn.functional as F
    from llms_from_scratch.ch04 import GPTModel

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
    model.out_head = torch.nn.Linear(D_MODEL, 2)
    model.load_state_dict(for_the_book(new_model()), strict=False)  # its masks are no weights
    model.requires_grad_(False)
    for part in (model.out_head, model.trf_blocks[-1], model.final_norm):
        part.requires_grad_(True)
    longest = max(map(len, texts))

    def padded(texts: list[list[int]]) -> Any:
        cut = [text[:longest] for text in texts]
        return torch.tensor([text + [VOCAB_SIZE - 1] * (longest - len(text)) for text in cut])

    def train() -> float:
        optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        inputs, wanted = padded(texts), torch.tensor(classes)
        model.train()
        for _ in range(epochs):
            total = 0.0
            for chosen in torch.randperm(len(texts)).split(BATCH_SIZE):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(inputs[chosen])[:, -1, :], wanted[chosen])
                loss.backward()
                optimizer.step()
                total += loss.item() * len(chosen)
        return total / len(texts)

    @torch.no_grad()
    def scores(others: list[list[int]]) -> Any:
        model.eval()
        return torch.cat([model(part)[:, -1, :] for part in padded(others).split(BATCH_SIZE)])

    return train, scores


def for_the_book(model: Any) -> dict[str, Any]:
    """The weights of our classifier under the names of the book's model."""
    trunk = model.trunk
    weights = {
        "tok_emb.weight": trunk.token_embedding.weight,
        "pos_emb.weight": trunk.position_embedding.weight,
        "final_norm.scale": trunk.final_norm.weight,
        "final_norm.shift": trunk.final_norm.bias,
        "out_head.weight": model.class_head.weight,
        "out_head.bias": model.class_head.bias,
    }
    for number, block in enumerate(trunk.blocks):
        name, linear = f"trf_blocks.{number}", block.attention.query_key_value
        for part, weight, bias in zip(
            ("query", "key", "value"), linear.weight.chunk(3), linear.bias.chunk(3), strict=True
        ):
            weights |= {f"{name}.att.W_{part}.weight": weight, f"{name}.att.W_{part}.bias": bias}
        for theirs, ours in (
            ("att.out_proj", block.attention.project),
            ("ff.layers.0", block.feed_forward.widen),
            ("ff.layers.2", block.feed_forward.narrow),
        ):
            weights |= {f"{name}.{theirs}.weight": ours.weight, f"{name}.{theirs}.bias": ours.bias}
        for theirs, norm in (("norm1", block.attention_norm), ("norm2", block.feed_forward_norm)):
            weights |= {f"{name}.{theirs}.scale": norm.weight, f"{name}.{theirs}.shift": norm.bias}
    return weights


WAYS: dict[str, Callable[..., Way]] = {
    OURS: partial(groundup, keeps=True, precision="auto"),
    "groundup, fp32": partial(groundup, keeps=True, precision="fp32"),
    PLAIN: partial(groundup, keeps=False, precision="fp32"),
    BOOK: book,
}


def measured(way: str, n_messages: int, epochs: int) -> dict[str, float]:
    """Seconds of a training, its last loss, and the share of other messages that it calls right, in this process."""
    texts, classes = messages(2 * n_messages)
    train, scores = WAYS[way](texts[:n_messages], classes[:n_messages], epochs)
    began = time.perf_counter()
    loss = train()
    seconds = time.perf_counter() - began
    called = scores(texts[n_messages:]).argmax(dim=1).tolist()
    right = sum(call == wanted for call, wanted in zip(called, classes[n_messages:], strict=True))
    return {"seconds": round(seconds, 2), "loss_nats": loss, "accuracy": right / n_messages}


def told_of(way: str, told: argparse.Namespace) -> dict[str, float]:
    found = in_a_process(__file__, way, "--messages", told.messages, "--epochs", told.epochs)
    figures = f"{found['seconds']:8.1f} s   loss {found['loss_nats']:.5f}   accuracy {found['accuracy']:.3f}"
    print(f"{way:32}{figures}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--messages", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
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
