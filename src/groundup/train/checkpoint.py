"""A trained model as a folder: weights as safetensors, all else as JSON, the tokenizer beside them.

Nothing that is read here can run code.
"""

import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn

from groundup.errors import GroundupError
from groundup.files import read_json, write_json_atomically
from groundup.model.gpt import GPT, GPTClassifier, GPTConfig
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.weights_file import copy_tensors, differences, tensor_shapes

Model = TypeVar("Model", GPT, GPTClassifier)

WEIGHTS_FILE, DESCRIPTION_FILE = "model.safetensors", "model.json"
# What is true of those that were saved before these were keys.
OF_OLDER_CLASSIFIERS: dict[str, Any] = {"pooling": "last", "spelled_out": False}


def save_model(folder: Path, model: GPT | GPTClassifier, tokenizer: Tokenizer, facts: dict[str, Any]) -> None:
    """Write weights, shape, tokenizer and facts (class labels, threshold …) into an existing folder."""
    write_safetensors(folder / WEIGHTS_FILE, model.state_dict())
    kind = {"kind": "language_model"}
    if isinstance(model, GPTClassifier):
        kind = {"kind": "classifier", "pooling": model.pooling}
    write_json_atomically(folder / DESCRIPTION_FILE, {**kind, "config": model.config.to_dict(), **facts})
    tokenizer.save(folder)


def write_safetensors(path: Path, tensors: Mapping[str, torch.Tensor], facts: dict[str, str] | None = None) -> None:
    """Write tensors and texts beside them, without a second copy in memory.

    Raises: OSError if the disk does not take it.
    """
    try:
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path, metadata=facts)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))  # a full disk comes as this error, too
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def load_model(folder: Path, device: torch.device | str = "cpu") -> tuple[GPT, Tokenizer, dict[str, Any]]:
    """A language model with its tokenizer and facts.

    Raises: GroundupError if a file is missing or damaged, or if the weights do not fit the shape.
    """
    facts = _read_facts(folder, "language_model")
    model = build_empty(lambda: GPT(GPTConfig(**facts["config"])), str(folder / DESCRIPTION_FILE), device)
    _load_weights(model, folder)
    return model.eval(), _load_tokenizer(folder, model.config), facts


def load_classifier(
    folder: Path, device: torch.device | str = "cpu"
) -> tuple[GPTClassifier, Tokenizer, dict[str, Any]]:
    """A classifier with its tokenizer and facts, among them `labels`, `threshold` and `spelled_out`.

    Raises: as `load_model`.
    """
    facts = OF_OLDER_CLASSIFIERS | _read_facts(folder, "classifier")
    model = build_empty(
        lambda: GPTClassifier(GPT(GPTConfig(**facts["config"])), len(facts["labels"]), facts["pooling"]),
        str(folder / DESCRIPTION_FILE),
        device,
    )
    _load_weights(model, folder)
    return model.eval(), _load_tokenizer(folder, model.config), facts


def _read_facts(folder: Path, kind: str) -> dict[str, Any]:
    facts = read_json(folder / DESCRIPTION_FILE)
    if not isinstance(facts, dict) or facts.get("kind") != kind:
        found = facts.get("kind") if isinstance(facts, dict) else type(facts).__name__
        raise GroundupError(
            f"{folder}: not a {kind.replace('_', ' ')}", got=found, allowed=kind, do="choose another folder"
        )
    return facts


def build_empty(build: Callable[[], Model], description: str, device: torch.device | str) -> Model:
    """A model with memory for its weights but nothing in it yet: drawing random ones would be for nothing.

    Args:
        description: where the shape comes from, for who has to mend it.
    Raises: GroundupError if the shape is none, or beyond all memory.
    """
    try:
        with _nothing_initialised():
            return build().to(device)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise GroundupError(f"{description}: no valid model shape", got=str(error), do="make the model again") from None


@contextlib.contextmanager
def _nothing_initialised() -> Iterator[None]:
    """Let torch's initialisers leave tensors as they are. Its meta device would, but loads 800 modules first."""
    names = ("normal_", "uniform_", "kaiming_uniform_", "zeros_")
    usual = {name: getattr(nn.init, name) for name in names}
    try:
        for name in names:
            setattr(nn.init, name, lambda tensor, *arguments, **keywords: tensor)
        yield
    finally:
        for name, function in usual.items():
            setattr(nn.init, name, function)


def _load_tokenizer(folder: Path, config: GPTConfig) -> Tokenizer:
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size != config.vocab_size:
        raise GroundupError(
            f"{folder}: the tokenizer is not the model's",
            got=f"{tokenizer.vocab_size} tokens",
            allowed=f"{config.vocab_size} tokens",
            do="restore the tokenizer's two files, or make the model again",
        )
    return tokenizer


def _load_weights(model: nn.Module, folder: Path) -> None:
    path = folder / WEIGHTS_FILE
    targets = model.state_dict()
    wrong = differences({name: tuple(tensor.shape) for name, tensor in targets.items()}, tensor_shapes(path))
    if wrong:
        raise GroundupError(
            f"{path}: {len(wrong)} weights do not fit the model's shape: {', '.join(wrong[:3])}",
            do=f"make the model again, or restore {DESCRIPTION_FILE}",
        )
    copy_tensors(path, targets.items())
