"""Weights that somebody else trained, as a start: OpenAI's GPT-2 in Hugging Face's form, or a model of this project."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from groundup.config import STAGE_BEFORE, InitialWeights
from groundup.errors import GroundupError
from groundup.files import read_json
from groundup.model.gpt import GPT, GPTConfig
from groundup.model.gpt2_weights import TRANSPOSED, gpt2_name
from groundup.tokenizer.encoding import ENCODER_FILE, Tokenizer
from groundup.train.checkpoint import DESCRIPTION_FILE, WEIGHTS_FILE, build_empty, load_model
from groundup.train.weights_file import copy_tensors, differences, equal_in_file, tensor_shapes

THEIR_CONFIG_FILE, THEIR_TOKENIZER_FILE = "config.json", "tokenizer.json"
TOP = "transformer."  # what names begin with in files of a whole language model; OpenAI's begin without it
# Hugging Face's files of GPT-2 also hold the causal masks, which no training changes; every model makes its own.
MASKS = re.compile(r"h\.\d+\.attn\.(bias|masked_bias)")
# With these settings, and no others, their model computes what ours does.
WANTED_SETTINGS: dict[str, tuple[Any, ...]] = {
    "model_type": ("gpt2",),
    "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
    "layer_norm_epsilon": (1e-5,),
    "scale_attn_weights": (True,),
    "scale_attn_by_inverse_layer_idx": (False,),
}


def load_given_model(folder: Path, config: GPTConfig, tokenizer: Tokenizer, device: torch.device | str = "cpu") -> GPT:
    """A model with the weights of a folder.

    A model with a shorter context takes the first positions. A model whose head is its own begins with a copy of the
    token embedding where the weights share the two.

    Args:
        config: the shape that the model is to have.
        tokenizer: what the texts are encoded with; a vocabulary beside the weights must be the same.
    Raises: GroundupError naming the tensors that are missing, left over or of another shape, the settings of
        `config.json` that are not GPT-2's, or what else is wrong with the files.
    """
    path = folder / WEIGHTS_FILE
    own = (folder / DESCRIPTION_FILE).is_file()
    found = {name: shape for name, shape in tensor_shapes(path).items() if not MASKS.fullmatch(name.removeprefix(TOP))}
    _refuse_other_settings(folder, config)
    _refuse_another_vocabulary(folder, tokenizer)
    with_top = any(name.startswith(TOP) for name in found)

    def name_in_file(name: str) -> str:
        theirs = name if own else gpt2_name(name)
        return theirs if own or with_top else theirs.removeprefix(TOP)

    model = build_empty(lambda: GPT(config), str(folder), device)
    embedding, head = name_in_file("token_embedding.weight"), name_in_file("head.weight")
    targets = [(name_in_file(name), _as_in_file(name, tensor, own)) for name, tensor in model.state_dict().items()]
    if not config.tie_weights and head not in found:
        targets = [(embedding if name == head else name, target) for name, target in targets]
    _refuse_what_does_not_fit(path, targets, found, position=name_in_file("position_embedding.weight"), head=head)
    if config.tie_weights and head in found and not equal_in_file(path, head, embedding, config.vocab_size):
        raise GroundupError(
            f"{path}: {head} is not the token embedding, as the model's shape says",
            got="two matrices",
            allowed="one for both",
            do="set model.tie_weights to false",
        )
    copy_tensors(path, targets)
    return model.eval()


def starting_point(
    init: str, stage_before: Path, given: Path, device: torch.device
) -> tuple[GPT, Tokenizer, InitialWeights]:
    """The model that a fine-tuning begins with, its tokenizer, and which weights an untrained one of its kind has.

    Args:
        init: `pretrained` for the model in `stage_before`; else the weights in `given` are taken.
    Raises: as `load_model` and `load_given_model`.
    """
    if init == STAGE_BEFORE:
        model, tokenizer, facts = load_model(stage_before, device)
        return model, tokenizer, facts["initial_weights"]
    tokenizer = Tokenizer.load(stage_before)
    return load_given_model(given, given_shape(given, tokenizer), tokenizer, device), tokenizer, "gpt2"


def given_shape(folder: Path, tokenizer: Tokenizer) -> GPTConfig:
    """The shape that the description beside some weights tells.

    Raises: GroundupError if there is no description, or none of a GPT-2.
    """
    own, theirs = folder / DESCRIPTION_FILE, folder / THEIR_CONFIG_FILE
    try:
        if own.is_file():
            return replace(GPTConfig(**read_json(own)["config"]), dropout=0.0)
        facts = read_json(theirs)
        return GPTConfig(
            vocab_size=tokenizer.vocab_size,
            context_length=facts["n_positions"],
            d_model=facts["n_embd"],
            n_layers=facts["n_layer"],
            n_heads=facts["n_head"],
            tie_weights=facts.get("tie_word_embeddings", True),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise GroundupError(
            f"{own if own.is_file() else theirs}: no shape of a GPT-2", got=repr(error), do="restore the file"
        ) from None


def _as_in_file(name: str, tensor: Tensor, own: bool) -> Tensor:
    """A weight of the model, turned as the file has it."""
    return tensor if own or not gpt2_name(name).endswith(TRANSPOSED) else tensor.T


def _refuse_what_does_not_fit(
    path: Path, targets: list[tuple[str, Tensor]], found: dict[str, tuple[int, ...]], position: str, head: str
) -> None:
    wanted = {name: tuple(target.shape) for name, target in targets}
    there = {name: shape for name, shape in found.items() if name != head or head in wanted}
    if position in there and len(there[position]) == 2 and there[position][0] > wanted[position][0]:
        there[position] = (wanted[position][0], there[position][1])  # the first positions are enough
    wrong = differences(wanted, there)
    if wrong:
        shown = ", ".join(wrong[:4]) + (" …" if len(wrong) > 4 else "")
        raise GroundupError(
            f"{path}: {len(wrong)} of its tensors do not fit the model: {shown}",
            do=f"set {_settings_that_fit(found)}, or choose other weights",
        )


def _settings_that_fit(found: dict[str, tuple[int, ...]]) -> str:
    """The keys and values that the tensors of a file in GPT-2's form ask for."""
    by_end = {name.removeprefix(TOP): shape for name, shape in found.items()}
    n_layers = len({name.split(".")[1] for name in by_end if name.startswith("h.")})
    wte, wpe = by_end.get("wte.weight", (0, 0)), by_end.get("wpe.weight", (0, 0))
    if not n_layers or len(wte) != 2 or len(wpe) != 2:
        return "the keys of model to the shape of these weights"
    return (
        f"model.d_model to {wte[1]}, model.n_layers to {n_layers}, model.context_length to {wpe[0]} or less, "
        f"model.bias to {str('ln_f.bias' in by_end).lower()} and tokenize.vocab_size to {wte[0]}"
    )


def _refuse_other_settings(folder: Path, config: GPTConfig) -> None:
    if (folder / DESCRIPTION_FILE).is_file():
        given = read_json(folder / DESCRIPTION_FILE).get("config", {}).get("n_heads")
        wrong = {} if given == config.n_heads else {"n_heads": (given, (config.n_heads,))}
        where = folder / DESCRIPTION_FILE
    elif (folder / THEIR_CONFIG_FILE).is_file():
        facts, where = read_json(folder / THEIR_CONFIG_FILE), folder / THEIR_CONFIG_FILE
        wanted = {**WANTED_SETTINGS, "n_head": (config.n_heads,)}
        wrong = {key: (facts[key], ok) for key, ok in wanted.items() if key in facts and facts[key] not in ok}
    else:
        return
    for key, (given, ok) in wrong.items():
        heads = key.startswith("n_head")
        raise GroundupError(
            f"{where}: {key} is not the model's" if heads else f"{where}: {key} is not GPT-2's",
            got=given,
            allowed=" or ".join(map(str, ok)),
            do=f"set model.n_heads to {given}" if heads else "choose weights of GPT-2's architecture",
        )


def _refuse_another_vocabulary(folder: Path, tokenizer: Tokenizer) -> None:
    """Weights know tokens by their numbers: with another vocabulary they would read other words."""
    theirs = _vocabulary_beside(folder)
    ours = tokenizer.ids_by_token()
    if theirs is not None and {token: number for token, number in theirs.items() if token in ours} != ours:
        raise GroundupError(
            f"{folder}: the vocabulary beside the weights is not the one of the texts",
            got=f"{len(theirs)} tokens",
            allowed=f"the {len(ours)} of data/tokens/tokenizer",
            do="set tokenize.tokenizer to gpt2 if these are GPT-2's, or take weights of this vocabulary",
        )


def _vocabulary_beside(folder: Path) -> dict[str, int] | None:
    if (folder / ENCODER_FILE).is_file():
        vocabulary: dict[str, int] = read_json(folder / ENCODER_FILE)
        return vocabulary
    if (folder / THEIR_TOKENIZER_FILE).is_file():
        facts = read_json(folder / THEIR_TOKENIZER_FILE)
        return {
            **facts.get("model", {}).get("vocab", {}),
            **{each["content"]: each["id"] for each in facts.get("added_tokens", [])},
        }
    return None
