"""Small models, texts and settings that several unit tests share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundup.config import (
    FinetuneClsParams,
    FinetuneInstructParams,
    LoraParams,
    PretrainParams,
    RuntimeParams,
    TrainingParams,
)
from groundup.data.instructions import PROMPT_LENGTHS_FILE
from groundup.data.rows import ROWS_FILE, write_rows
from groundup.data.token_store import TokenStore, write_token_store
from groundup.model.gpt import GPT, GPTConfig
from groundup.seeding import seed_torch
from groundup.tasks.classify import LabelledRows
from groundup.tasks.instruct import InstructionRows
from groundup.tokenizer.bpe import byte_alphabet, train_bpe
from groundup.tokenizer.encoding import Tokenizer

CPU = torch.device("cpu")

TEXTS = [
    "The cat sat on the mat, and the rat sat on the cat.",
    "Whether 'tis nobler: that the cat can't, won't and shan't sit 1234 times on 1234 mats?",
    "naïve café, 東京 and 東京, 😀😀 — and then the end.\n\n\nThe end.",
]


def tiny_config(**changes: Any) -> GPTConfig:
    """The shape of a model of a few thousand weights."""
    return GPTConfig(**{"vocab_size": 31, "context_length": 12, "d_model": 16, "n_layers": 2, "n_heads": 2, **changes})


def tiny_gpt(seed: int = 0, std: float | None = 0.3, **changes: Any) -> GPT:
    """A random model. Its weights are wider than training begins with, so that its scores differ well from each other.

    Args:
        std: of every weight and bias; None leaves the model as it is made.
    """
    seed_torch(seed, "tiny model")
    model = GPT(tiny_config(**changes))
    if std is not None:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                around = 1.0 if name.endswith("norm.weight") else 0.0
                parameter.copy_(around + std * torch.randn_like(parameter))
    return model


def byte_tokenizer() -> Tokenizer:
    """A tokenizer of the 256 bytes and <|endoftext|>."""
    return Tokenizer([bytes([byte]) for byte in byte_alphabet()])


def trained_tokenizer(vocab_size: int = 290) -> Tokenizer:
    """A tokenizer with a few merges."""
    return Tokenizer(train_bpe(TEXTS, vocab_size))


def token_store(documents: Sequence[Sequence[int]]) -> TokenStore:
    """Documents as a store that lies in memory."""
    tokens = np.array([token for document in documents for token in document], dtype=np.uint16)
    return TokenStore(tokens, np.cumsum([0, *map(len, documents)], dtype=np.int64))


LORA = LoraParams(rank=2, alpha=4.0, targets=("query_key_value", "project", "widen", "narrow"))

_TRAINING: dict[str, Any] = {
    "batch_size": 4,
    "grad_accum_steps": 1,
    "learning_rate": 1e-2,
    "min_learning_rate": 1e-3,
    "warmup_steps": 0,
    "schedule": "cosine",
    "decay_steps": 0,
    "weight_decay": 0.0,
    "beta1": 0.9,
    "beta2": 0.95,
    "max_grad_norm": 1.0,
    "evaluation_interval": 1,
    "log_interval": 1,
    "patience": 0,
    "precision": "fp32",
    "optimizer": "adamw",
    "weight_average": 0.0,
}


def runtime_params(**changes: Any) -> RuntimeParams:
    """The CPU, with all that the shipped settings choose."""
    plain = {"device": "cpu", "threads": 0, "checkpoint_interval_s": 30.0, "compile": False, "without": ()}
    return RuntimeParams(**{**plain, **changes})


def training_settings(**changes: Any) -> TrainingParams:
    return TrainingParams(**{**_TRAINING, **changes})


def pretrain_settings(**changes: Any) -> PretrainParams:
    own = {
        "init": "scratch",
        "max_steps": 3,
        "initial_weights": "gpt2",
        "windows": "anywhere",
        "batch_warmup_steps": 0,
        "length_warmup_steps": 0,
        "sample_prompt": "",
        "sample_tokens": 0,
    }
    return PretrainParams(**{**_TRAINING, **own, **changes})


def classifier_settings(**changes: Any) -> FinetuneClsParams:
    own = {
        "language_steps": 0,
        "language_weight": 0.0,
        "spelled_out": False,
        "pooling": "last",
        "language_batch_size": 2,
        "language_learning_rate": 1e-3,
        "epochs": 1,
        "trainable": "all",
        "lora": LORA,
        "dropout": 0.0,
        "class_balance": "natural",
        "positive_label": "spam",
        "threshold_for": "accuracy",
        "train_rows": 0,
        "from_random": False,
    }
    return FinetuneClsParams(**{**_TRAINING, **own, **changes})


def instruct_settings(**changes: Any) -> FinetuneInstructParams:
    own = {
        "epochs": 1,
        "trainable": "all",
        "lora": LORA,
        "dropout": 0.0,
        "init": "pretrained",
        "from_random": False,
        "loss_on": "response",
        "packing": False,
        "sample_tokens": 0,
    }
    return FinetuneInstructParams(**{**_TRAINING, **own, **changes})


def instruction_rows(folder: Path, rows: list[dict[str, Any]]) -> InstructionRows:
    """A side of instructions in the tokens of `byte_tokenizer`, written and read again."""
    tokenizer = byte_tokenizer()
    prompts = [tokenizer.encode(row["instruction"]) for row in rows]
    pairs = [
        [*prompt, *tokenizer.encode(row["output"]), tokenizer.end_of_text_id]
        for prompt, row in zip(prompts, rows, strict=True)
    ]
    write_token_store(folder, pairs, 257)
    np.save(folder / PROMPT_LENGTHS_FILE, np.array([len(prompt) for prompt in prompts]))
    write_rows(folder / ROWS_FILE, rows)
    return InstructionRows.load(folder)


def labelled_rows(folder: Path) -> LabelledRows:
    """Messages of 1 to 20 tokens, written to a folder and read from it; every third is spam."""
    generator = np.random.default_rng(0)
    lengths = [1, 20, 3, 12, 13, 5, 2, 9, 7, 11, 4]
    write_token_store(folder, [generator.integers(0, 31, length) for length in lengths], vocab_size=31)
    labels = ["spam" if index % 3 == 0 else "ham" for index in range(len(lengths))]
    write_rows(folder / ROWS_FILE, [{"text": f"message {index}", "label": label} for index, label in enumerate(labels)])
    return LabelledRows.load(folder)
