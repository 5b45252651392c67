"""What a run is told: `params.yaml` as frozen dataclasses, checked whole before anything starts.

The dataclasses need nothing but the standard library, so `model`, `tokenizer`, `train` and `generate` can use them on
a machine without pydantic; pydantic is imported only where a file is read.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args, get_type_hints

from groundup.errors import GroundupError, InvalidParamsError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

PARAMS_FILE = Path("params.yaml")

# Every byte is a token, and so is <|endoftext|>: a vocabulary below this could not write every text.
SMALLEST_VOCABULARY = 257
GPT2_VOCAB_SIZE = 50257

Device = str  # "auto", "cpu", "cuda", "cuda:1", "mps"
Precision = Literal["auto", "fp32", "bf16"]
TextKind = Literal["corpus", "messages", "instructions"]
Trainable = Literal["head", "last_block", "last_two_blocks", "all", "lora"]
InitialWeights = Literal["gpt2", "copying"]
FastPath = Literal[
    "plain_attention",
    "fused_gate",
    "fused_loss",
    "kept_memory",
    "frozen_trunk",
    "packed_weights",
    "guesses",
    "early_batches",
    "cuda_graphs",
]
Pooling = Literal["last", "mean", "max"]
LoraTarget = Literal["query_key_value", "project", "widen", "narrow"]


@dataclass(frozen=True)
class Gpt2Shape:
    """What one of OpenAI's four models has other than the rest; all read 1,024 tokens."""

    n_layers: int
    d_model: int
    n_heads: int


# Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", and the files' own descriptions.
GPT2_SHAPES = {
    "gpt2": Gpt2Shape(n_layers=12, d_model=768, n_heads=12),
    "gpt2-medium": Gpt2Shape(n_layers=24, d_model=1024, n_heads=16),
    "gpt2-large": Gpt2Shape(n_layers=36, d_model=1280, n_heads=20),
    "gpt2-xl": Gpt2Shape(n_layers=48, d_model=1600, n_heads=25),
}
GPT2_CONTEXT_LENGTH = 1024
SCRATCH, STAGE_BEFORE = "scratch", "pretrained"  # what a training begins with, if not with given weights
FROM_RANDOM = "from_random"  # a key, and what it asks for: the folder of the model without pretraining, its figures


@dataclass(frozen=True)
class Within:
    """Limits of a number; pydantic applies them, and error messages quote them."""

    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        schema = handler(source)
        schema.update({name: value for name, value in vars(self).items() if value is not None})
        return schema


Positive = Annotated[int, Within(ge=1)]
Count = Annotated[int, Within(ge=0)]
Share = Annotated[float, Within(gt=0.0, lt=1.0)]
Rate = Annotated[float, Within(ge=0.0, lt=1.0)]
PositiveFloat = Annotated[float, Within(gt=0.0)]
NotNegative = Annotated[float, Within(ge=0.0)]


@dataclass(frozen=True)
class Section:
    """A part of `params.yaml`. An unknown key is an error, never ignored."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True)
class SampleParams(Section):
    """What the generated texts are like, where `data` names them.

    `world_size` is the number of people, and of animals, in the world that they tell of.
    """

    seed: Annotated[int, Within(ge=0, le=2**53)]
    world_size: Annotated[int, Within(ge=8, le=48)]
    corpus_mb: Annotated[float, Within(gt=0.0, le=4096.0)]
    messages: Annotated[int, Within(ge=100, le=1_000_000)]
    instructions: Annotated[int, Within(ge=500, le=1_000_000)]


@dataclass(frozen=True)
class DataParams(Section):
    """Which texts: names from the catalog, or paths of your own files under `data/own/`."""

    corpus: tuple[str, ...]
    messages: str
    instructions: str
    sample: SampleParams


@dataclass(frozen=True)
class TokenizeParams(Section):
    """`bpe` trains a vocabulary of `vocab_size` on the train side of `train_on`; `gpt2` loads OpenAI's; `given` takes
    the one that lies beside the weights of `pretrain.init`.
    """

    tokenizer: Literal["bpe", "gpt2", "given"]
    vocab_size: Annotated[int, Within(ge=SMALLEST_VOCABULARY, le=1_000_000)]
    train_on: tuple[TextKind, ...]


@dataclass(frozen=True)
class SplitParams(Section):
    """Shares of the three sides, and how alike two rows may be before they must share a side.

    `add_to_corpus` adds the train side of messages or instructions, as plain text, to what pretraining reads.
    """

    train: Share
    validation: Share
    test: Share
    near_duplicate_similarity: Annotated[float, Within(gt=0.0, le=1.0)]
    add_to_corpus: tuple[Literal["messages", "instructions"], ...]


@dataclass(frozen=True)
class ModelParams(Section):
    """The shape of the GPT; the vocabulary's size comes from the tokenizer."""

    context_length: Annotated[int, Within(ge=2, le=65536)]
    d_model: Positive
    n_layers: Positive
    n_heads: Positive
    dropout: Rate
    bias: bool
    tie_weights: bool


@dataclass(frozen=True)
class TrainingParams(Section):
    """What every kind of training is told.

    Units: `batch_size` in sequences, `*_interval` and `*_steps` in optimizer steps.

    `decay_steps` are the last ones, in which the schedule `warmup_stable_decay` lets the learning rate fall.
    `weight_average` is how much of the average of the weights so far each step keeps; 0 averages nothing.
    """

    batch_size: Positive
    grad_accum_steps: Positive
    learning_rate: PositiveFloat
    min_learning_rate: NotNegative
    warmup_steps: Count
    schedule: Literal["cosine", "constant", "warmup_stable_decay"]
    decay_steps: Count
    weight_decay: NotNegative
    beta1: Rate
    beta2: Rate
    max_grad_norm: PositiveFloat
    optimizer: Literal["adamw", "muon"]
    weight_average: Rate
    evaluation_interval: Positive
    log_interval: Positive
    patience: Count
    precision: Precision


@dataclass(frozen=True)
class PretrainParams(TrainingParams):
    """Where to begin, how long to pretrain, and what the sample in the log begins with.

    `init` is `scratch`, or names weights to begin with: OpenAI's by name, or a file or folder of yours under
    `data/own/`. With `max_steps: 0` they are used as they are.
    `initial_weights` are those of `scratch`: `gpt2` for random ones as GPT-2's; `copying` ones can copy from the text
    above before they are trained.
    `windows: documents` lets each window of text begin with a document; `anywhere` cuts the text wherever it falls.
    Over the first `batch_warmup_steps` and `length_warmup_steps` batches and windows grow from one to their full size.
    """

    init: str
    initial_weights: InitialWeights
    max_steps: Count
    windows: Literal["documents", "anywhere"]
    batch_warmup_steps: Count
    length_warmup_steps: Count
    sample_prompt: str
    sample_tokens: Count


@dataclass(frozen=True)
class LoraParams(Section):
    """Of `trainable: lora`: two narrow matrices beside each target, whose product is added to it.

    `rank` is their inner width (0: no target changes); what they add is scaled by `alpha / rank`.
    """

    rank: Count
    alpha: PositiveFloat
    targets: tuple[LoraTarget, ...]


@dataclass(frozen=True)
class FinetuneClsParams(TrainingParams):
    """`class_balance: balanced` draws as many rows of each class per epoch as the rarest one has.

    `positive_label` is one of two labels; with more it is empty, and `threshold_for` has no use.

    Before it learns to tell the classes apart, the model learns for `language_steps` steps to write such messages.
    While it does, the surprise at a token of theirs counts `language_weight` times as much as that at a class.

    `spelled_out` lets the model read each message a second time, letter by letter, and so see inside its tokens.

    `pooling` is how one vector, which the class head reads, comes of those of a message's tokens.

    `train_rows` is how many labelled rows it learns the classes from, 0 for all; writing reads all, but no labels.
    `from_random` trains a model with random weights in the same way, to show what pretraining buys.
    """

    language_steps: Count
    language_batch_size: Positive
    language_learning_rate: PositiveFloat
    language_weight: NotNegative
    spelled_out: bool
    pooling: Pooling
    epochs: Positive
    trainable: Trainable
    lora: LoraParams
    dropout: Rate
    class_balance: Literal["natural", "balanced"]
    positive_label: str
    threshold_for: Literal["accuracy", "f1"]
    train_rows: Count
    from_random: bool


@dataclass(frozen=True)
class FinetuneInstructParams(TrainingParams):
    """`init` is `pretrained`, the model of the stage before, or names other weights, as for `pretrain.init`.

    `loss_on: response` asks the model for the answer only; `all` for the prompt as well.
    `packing` lays several rows of a batch end to end where that saves padding; no row sees another.
    `from_random` trains a model with random weights in the same way, to show what pretraining buys.
    """

    init: str
    from_random: bool
    epochs: Positive
    trainable: Trainable
    lora: LoraParams
    dropout: Rate
    loss_on: Literal["response", "all"]
    packing: bool
    sample_tokens: Count


@dataclass(frozen=True)
class EvaluateParams(Section):
    """`window_stride`: tokens between the windows that score the corpus; smaller gives each token more context.

    `stories`: documents that the model writes from nothing, to be checked.
    `sample_temperatures`: each prompt is continued at each; `temperature` is that of the stories.
    `ngram_order`: tokens of the longest n-gram of the model that counts them, to compare with; 0: none.
    """

    stories: Count
    batch_size: Positive
    window_stride: Positive
    prompts: tuple[str, ...]
    sample_tokens: Positive
    temperature: NotNegative
    top_k: Count
    top_p: Annotated[float, Within(gt=0.0, le=1.0)]
    response_tokens: Positive
    confidence: Share
    sample_temperatures: tuple[NotNegative, ...]
    ngram_order: Annotated[int, Within(ge=0, le=12)]


@dataclass(frozen=True)
class RuntimeParams(Section):
    """How to compute, never what: no stage lists this section, so a change here reruns nothing."""

    device: Device
    threads: Annotated[int, Within(ge=0, le=1024)]  # OpenMP ends the process where there are very many
    checkpoint_interval_s: NotNegative
    compile: bool
    without: tuple[FastPath, ...]


@dataclass(frozen=True)
class Params(Section):
    """All of `params.yaml`; a section is named like the stage that reads it."""

    seed: Annotated[int, Within(ge=0, le=2**53)]
    data: DataParams
    tokenize: TokenizeParams
    split: SplitParams
    model: ModelParams
    pretrain: PretrainParams
    finetune_cls: FinetuneClsParams
    finetune_instruct: FinetuneInstructParams
    evaluate: EvaluateParams
    runtime: RuntimeParams


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


def can_prepare_to_copy(d_model: int, n_layers: int, n_heads: int) -> bool:
    """Whether a model of this shape has room for the heads that `pretrain.initial_weights: copying` sets up."""
    return n_layers >= 2 and n_heads >= 2 and d_model % 4 == 0 and (d_model // n_heads) % 2 == 0


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


def training_sections(params: Params) -> list[tuple[str, TrainingParams]]:
    """The sections of the three stages that train, by name."""
    return [
        (field.name, value)
        for field in fields(params)
        if isinstance(value := getattr(params, field.name), TrainingParams)
    ]


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


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested sections as one mapping of dotted keys, as MLflow and reports show them."""
    if is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if is_dataclass(inner) or isinstance(inner, dict):
            flat.update(flatten(inner, f"{prefix}{key}."))
        else:
            flat[prefix + key] = list(inner) if isinstance(inner, tuple) else inner
    return flat


TEXT_KINDS: tuple[TextKind, ...] = get_args(TextKind)
