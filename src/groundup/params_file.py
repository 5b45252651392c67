"""Reading `params.yaml`, which is checked whole before anything starts."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from groundup.config import (
    GPT2_CONTEXT_LENGTH,
    GPT2_SHAPES,
    GPT2_VOCAB_SIZE,
    SCRATCH,
    STAGE_BEFORE,
    LoraTarget,
    Params,
    can_prepare_to_copy,
    training_sections,
)
from groundup.errors import GroundupError, InvalidParamsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PARAMS_FILE = Path("params.yaml")


def load_params(path: Path = PARAMS_FILE) -> Params:
    """Read and check a parameters file.

    Raises: InvalidParamsError with one line for each problem; GroundupError if the file cannot be read as YAML.
    """
    return parse_params(read_yaml(path), str(path))


def read_yaml(path: Path) -> Any:
    """Read YAML as DVC does (YAML 1.2 through ruamel), so that 3e-4 is a number to both.

    Raises: GroundupError if the file is missing, not UTF-8, not YAML, or names a key twice.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise GroundupError(
            f"{path}: no such file", do="run from the project's folder, or `git restore params.yaml`"
        ) from None
    except UnicodeDecodeError as error:
        raise GroundupError(f"{path}: not UTF-8 text at byte {error.start}", do="save the file as UTF-8") from None
    except (YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise GroundupError(f"{path}: not valid YAML{where}", got=problem, do="mend the line") from None


def parse_params(raw: Any, origin: str = "params") -> Params:
    """Check a nested mapping against `Params`: first keys and types, then what keys say together.

    Raises: InvalidParamsError with one line for each problem.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        text = json.dumps(raw)
    except (TypeError, ValueError) as error:
        raise GroundupError(
            f"{origin}: holds a value that JSON has no form for", got=str(error), do="use plain values"
        ) from None
    try:
        params = TypeAdapter(Params).validate_json(text)
    except ValidationError as error:
        raise InvalidParamsError([_describe(problem, origin) for problem in error.errors()]) from None
    problems = [
        GroundupError(f"{origin}: {what}", got=got, allowed=allowed, do=do) for what, got, allowed, do in _check(params)
    ]
    if problems:
        raise InvalidParamsError(problems)
    return params


def known_keys(section: type = Params, prefix: str = "") -> list[str]:
    """Every dotted key that `params.yaml` may have."""
    keys = []
    for name, hint in get_type_hints(section).items():
        if name.startswith("__"):
            continue
        keys.append(prefix + name)
        if is_dataclass(hint):
            keys += known_keys(hint, f"{prefix}{name}.")  # type: ignore[arg-type]
    return keys


def _describe(problem: ErrorDetails, origin: str) -> GroundupError:
    key = ".".join(str(part) for part in problem["loc"]) or "the whole file"
    kind = problem["type"]
    if kind in ("unexpected_keyword_argument", "extra_forbidden"):
        known = known_keys()
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else "remove it, or see presets/sample.yaml for every key"
        return GroundupError(f"{origin}: {key} is not a known key", do=hint)
    if kind == "missing":
        return GroundupError(
            f"{origin}: {key} is missing", do=f"add {key}; presets/sample.yaml shows every key with its meaning"
        )
    allowed = problem["msg"].removeprefix("Input should be ").replace("an object", "a section with keys")
    return GroundupError(
        f"{origin}: {key} has a wrong value",
        got="nothing" if problem["input"] is None else problem["input"],
        allowed=allowed,
        do=f"change {key}",
    )


def _check(params: Params) -> Iterator[tuple[str, object, str, str]]:
    """What single keys cannot say: (what, got, allowed, do) for each problem."""
    model, split, runtime = params.model, params.split, params.runtime
    if model.d_model % model.n_heads:
        yield (
            "model.d_model is not divisible by model.n_heads",
            f"d_model {model.d_model}, n_heads {model.n_heads}",
            "equal heads",
            f"set model.d_model to a multiple of {model.n_heads}",
        )
    if params.pretrain.initial_weights == "copying" and not can_prepare_to_copy(
        model.d_model, model.n_layers, model.n_heads
    ):
        yield (
            "pretrain.initial_weights copying does not fit the model",
            f"d_model {model.d_model}, n_layers {model.n_layers}, n_heads {model.n_heads}",
            "two layers, two heads, model.d_model a multiple of 4 and heads of even size",
            "set pretrain.initial_weights to gpt2, or enlarge the model",
        )
    total = split.train + split.validation + split.test
    if abs(total - 1.0) > 1e-6:
        yield (
            "split.train, split.validation and split.test do not add up to 1",
            f"{total:g}",
            "shares that add up to 1",
            "set them to 0.7, 0.2 and 0.1",
        )
    if params.data.sample.world_size % 2:
        yield (
            "data.sample.world_size is odd, so somebody would have no friend",
            params.data.sample.world_size,
            "even numbers from 8 to 48",
            f"set data.sample.world_size to {params.data.sample.world_size + 1}",
        )
    if not params.data.corpus:
        yield "data.corpus names no text", "[]", "at least one name or path", "set data.corpus to [sample-stories]"
    if len(set(params.data.corpus)) < len(params.data.corpus):
        yield "data.corpus names a text twice", list(params.data.corpus), "each text once", "remove the repeat"
    if params.tokenize.tokenizer == "bpe" and not params.tokenize.train_on:
        yield "tokenize.train_on is empty", "[]", "corpus, messages, instructions", "set tokenize.train_on to [corpus]"
    if params.tokenize.tokenizer == "gpt2" and params.tokenize.vocab_size != GPT2_VOCAB_SIZE:
        yield (
            "tokenize.vocab_size does not fit tokenize.tokenizer gpt2",
            params.tokenize.vocab_size,
            str(GPT2_VOCAB_SIZE),
            f"set tokenize.vocab_size to {GPT2_VOCAB_SIZE}",
        )
    for name, training in training_sections(params):
        if training.min_learning_rate > training.learning_rate:
            yield (
                f"{name}.min_learning_rate is above {name}.learning_rate",
                training.min_learning_rate,
                f"at most {training.learning_rate:g}",
                f"lower {name}.min_learning_rate",
            )
    if params.pretrain.warmup_steps > params.pretrain.max_steps:
        yield (
            "pretrain.warmup_steps is above pretrain.max_steps",
            params.pretrain.warmup_steps,
            f"at most {params.pretrain.max_steps}",
            "lower pretrain.warmup_steps",
        )
    undecayed = params.pretrain.max_steps - params.pretrain.warmup_steps
    if params.pretrain.schedule == "warmup_stable_decay" and params.pretrain.decay_steps > undecayed:
        yield (
            "pretrain.decay_steps leaves no room for pretrain.warmup_steps within pretrain.max_steps",
            params.pretrain.decay_steps,
            f"at most {max(0, undecayed)}",
            "lower pretrain.decay_steps",
        )
    if params.evaluate.window_stride > model.context_length:
        yield (
            "evaluate.window_stride is longer than model.context_length, so tokens between windows would go unscored",
            params.evaluate.window_stride,
            f"1 to {model.context_length}",
            "lower evaluate.window_stride",
        )
    for key, tokens in (
        ("pretrain.sample_tokens", params.pretrain.sample_tokens),
        ("finetune_instruct.sample_tokens", params.finetune_instruct.sample_tokens),
        ("evaluate.sample_tokens", params.evaluate.sample_tokens),
        ("evaluate.response_tokens", params.evaluate.response_tokens),
    ):
        if tokens >= model.context_length:
            yield (
                f"{key} does not fit into model.context_length",
                tokens,
                f"below {model.context_length}, to leave room for a prompt",
                f"lower {key}",
            )
    yield from _check_given_weights(params)
    for name, tuned in (("finetune_cls", params.finetune_cls), ("finetune_instruct", params.finetune_instruct)):
        if tuned.trainable == "lora" and not tuned.lora.targets:
            yield f"{name}.lora.targets is empty", "[]", ", ".join(get_args(LoraTarget)), f"name {name}.lora.targets"
    if params.finetune_instruct.trainable == "lora" and not params.finetune_instruct.lora.rank:
        yield "finetune_instruct.lora.rank 0 trains nothing", 0, "1 or more", "raise finetune_instruct.lora.rank"
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", runtime.device):
        yield "runtime.device is unknown", runtime.device, "auto, cpu, cuda, cuda:N, mps", "set runtime.device to auto"


def _check_given_weights(params: Params) -> Iterator[tuple[str, object, str, str]]:
    """What goes with `pretrain.init` and what does not, as far as names tell it."""
    model, init = params.model, params.pretrain.init
    if init == SCRATCH and not params.pretrain.max_steps:
        yield (
            "pretrain.max_steps 0 would leave random weights, as pretrain.init is scratch",
            0,
            "1 or more",
            "raise pretrain.max_steps, or name weights in pretrain.init",
        )
    if params.tokenize.tokenizer == "given" and "/" not in init:
        yield (
            "tokenize.tokenizer given asks for a folder of weights with their vocabulary",
            f"pretrain.init {init}",
            "a folder under data/own/",
            "name it in pretrain.init, or set tokenize.tokenizer to bpe or gpt2",
        )
    for key, name in (("pretrain.init", init), ("finetune_instruct.init", params.finetune_instruct.init)):
        usual = SCRATCH if key == "pretrain.init" else STAGE_BEFORE
        if name != usual and name not in GPT2_SHAPES and "/" not in name:
            yield (
                f"{key} is unknown",
                name,
                f"{usual}, {', '.join(GPT2_SHAPES)}, or a file or folder under data/own/",
                f"change {key}",
            )
        if name in GPT2_SHAPES and params.tokenize.tokenizer != "gpt2":
            yield (
                f"{key} {name} does not fit tokenize.tokenizer",
                params.tokenize.tokenizer,
                "gpt2, the vocabulary of these weights",
                f"set tokenize.tokenizer to gpt2 and tokenize.vocab_size to {GPT2_VOCAB_SIZE}",
            )
    if init not in GPT2_SHAPES:
        return
    for field in fields(shape := GPT2_SHAPES[init]):
        given, wanted = getattr(model, field.name), getattr(shape, field.name)
        if given != wanted:
            yield f"model.{field.name} does not fit pretrain.init {init}", given, str(wanted), f"set it to {wanted}"
    if model.context_length > GPT2_CONTEXT_LENGTH:
        yield (
            f"model.context_length does not fit pretrain.init {init}",
            model.context_length,
            f"at most {GPT2_CONTEXT_LENGTH}",
            "lower model.context_length",
        )
    if not model.bias:
        yield f"model.bias does not fit pretrain.init {init}", "false", "true", "set model.bias to true"
