"""How a registered model answers: a table in, a table out, as MLflow's servers and `load_model` want it.

This runs where only the model's own requirements are installed, with the copy of this package that lies beside it.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel, PythonModelContext
from mlflow.types.schema import ColSpec, DataType, ParamSchema, ParamSpec, Schema

from groundup.errors import GroundupError
from groundup.files import whole_characters
from groundup.generate import PreparedGPT, Sampling
from groundup.train.checkpoint import load_model
from groundup.use.chat import question_tokens
from groundup.use.labelling import load_labeller
from groundup.use.writing import prompt_tokens, written_text

MODEL = "model"  # the artifact that holds the model's files
MOST_TOKENS = 4096  # of one text, so that a request cannot occupy a server for good


class Classifier(PythonModel):
    """Texts to labels, each with its probability: of two labels the positive one's, of more the label's own."""

    def load_context(self, context: PythonModelContext) -> None:
        self.labeller = load_labeller(Path(context.artifacts[MODEL]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        with _a_bad_request_in_one_line():
            texts = _texts(model_input, "text")
            return pd.DataFrame(self.labeller.label(texts), columns=["label", "probability"])


class Writer(PythonModel):
    """Prompts to what the model writes after each; every row is what `groundup generate` writes with that seed."""

    def load_context(self, context: PythonModelContext) -> None:
        self.model, self.tokenizer, _ = load_model(Path(context.artifacts[MODEL]))
        self.writes = PreparedGPT(self.model)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        with _a_bad_request_in_one_line():
            prompts = _texts(model_input, "prompt", may_be_empty=True)
            length = self.model.config.context_length
            return self._written([prompt_tokens(self.tokenizer, prompt, length) for prompt in prompts], params or {})

    def _written(self, prompts: Sequence[Sequence[int]], params: dict[str, Any]) -> pd.DataFrame:
        sampling, most, seed = _how(params)
        texts = [
            "".join(written_text(self.writes, self.tokenizer, prompt, most, sampling=sampling, seed=seed))
            for prompt in prompts
        ]
        return pd.DataFrame({"text": texts})


class Follower(Writer):
    """Instructions, and what each is about where it is about something, to answers."""

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        with _a_bad_request_in_one_line():
            asked = _texts(model_input, "instruction")
            about = _texts(model_input, "input", may_be_empty=True) if "input" in model_input else [""] * len(asked)
            length = self.model.config.context_length
            prompts = [question_tokens(self.tokenizer, length, *row) for row in zip(asked, about, strict=True)]
            return self._written(prompts, params or {})


@dataclass(frozen=True)
class Form:
    """What a registered model reads and gives, and a row to try it with."""

    inputs: tuple[ColSpec, ...]
    outputs: tuple[ColSpec, ...]
    example: dict[str, str]
    params: tuple[ParamSpec, ...] = ()

    @property
    def signature(self) -> ModelSignature:
        given = {"params": ParamSchema(list(self.params))} if self.params else {}
        return ModelSignature(Schema(list(self.inputs)), Schema(list(self.outputs)), **given)


def _text(name: str, *, required: bool = True) -> ColSpec:
    return ColSpec(DataType.string, name, required=required)


def _writing_params(*, temperature: float, max_tokens: int) -> tuple[ParamSpec, ...]:
    return (
        ParamSpec("temperature", DataType.double, temperature),
        ParamSpec("top_k", DataType.long, 0),
        ParamSpec("top_p", DataType.double, 1.0),
        ParamSpec("max_tokens", DataType.long, max_tokens),
        ParamSpec("seed", DataType.long, 0),
    )


# By the names of the models' folders; the values are those of the command line.
FORMS = {
    "pretrained": Form(
        (_text("prompt"),),
        (_text("text"),),
        {"prompt": "One morning"},
        _writing_params(temperature=0.8, max_tokens=200),
    ),
    "classifier": Form(
        (_text("text"),),
        (_text("label"), ColSpec(DataType.double, "probability")),
        {"text": "Send 5 coins to claim it"},
    ),
    "instructed": Form(
        (_text("instruction"), _text("input", required=False)),
        (_text("text"),),
        {"instruction": "What colour is the fox?", "input": ""},
        _writing_params(temperature=0.0, max_tokens=100),
    ),
}


@contextlib.contextmanager
def _a_bad_request_in_one_line() -> Iterator[None]:
    """What a caller can mend is status 400 to MLflow's servers, with our line in it."""
    try:
        yield
    except GroundupError as error:
        raise MlflowException(str(error), INVALID_PARAMETER_VALUE) from None


def _texts(table: pd.DataFrame, column: str, *, may_be_empty: bool = False) -> list[str]:
    """A column's texts; what is missing where it may be is empty.

    Raises: GroundupError that names the row, if one holds no text.
    """
    texts = []
    for number, value in enumerate(table[column], start=1):
        text = value if isinstance(value, str) else ""
        if not (may_be_empty or text.strip()):
            raise GroundupError(f"row {number} has no text under {column}", do="give a text, or leave the row out")
        texts.append(whole_characters(text, f"row {number}, {column},"))
    return texts


def _how(params: dict[str, Any]) -> tuple[Sampling, int, int]:
    """How to choose tokens, how many at most, and the seed.

    Raises: GroundupError for a value that is not allowed.
    """
    most = int(params["max_tokens"])
    if not 1 <= most <= MOST_TOKENS:
        raise GroundupError("max_tokens is out of range", got=most, allowed=f"1 to {MOST_TOKENS}", do="change it")
    try:
        sampling = Sampling(float(params["temperature"]), int(params["top_k"]), float(params["top_p"]))
    except ValueError as error:
        raise GroundupError(str(error), do="change temperature, top_k or top_p") from None
    return sampling, most, int(params["seed"])
