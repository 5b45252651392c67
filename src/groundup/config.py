"""What a run is told: the keys of `params.yaml` as frozen dataclasses.

They need nothing but the standard library, so `model`, `tokenizer`, `train` and `generate` can use them on a machine
without pydantic; `params_file` reads them and checks what they say together.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, ClassVar, Literal

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


def can_prepare_to_copy(d_model: int, n_layers: int, n_heads: int) -> bool:
    """Whether a model of this shape has room for the heads that `pretrain.initial_weights: copying` sets up."""
    return n_layers >= 2 and n_heads >= 2 and d_model % 4 == 0 and (d_model // n_heads) % 2 == 0


def training_sections(params: Params) -> list[tuple[str, TrainingParams]]:
    """The sections of the three stages that train, by name."""
    return [
        (field.name, value)
        for field in fields(params)
        if isinstance(value := getattr(params, field.name), TrainingParams)
    ]


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
