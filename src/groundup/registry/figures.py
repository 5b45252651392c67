"""The test figure of each final model, with the interval in which it likely lies on other texts of the same sort."""

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from groundup.data.rows import ROWS_FILE
from groundup.data.token_store import TokenStore
from groundup.files import sha256_of_file
from groundup.params_file import load_params
from groundup.registry.champion import Figure
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.checkpoint import load_model

GROUPS = 30  # of test texts, whose differences tell how sure the bits per byte are


@dataclass(frozen=True)
class Evaluation:
    """The last evaluation: its parameters, the figures it wrote, and the folder of the sides it read."""

    settings: Mapping[str, Any]
    summary: Mapping[str, Any]
    splits: Path

    @property
    def confidence(self) -> float:
        return float(self.settings["confidence"])


def _accuracy(folder: Path, measured: Evaluation) -> Figure:
    section, confidence = measured.summary["classifier"], measured.confidence
    bounds = section["accuracy_low"], section["accuracy_high"]
    test = sha256_of_file(measured.splits / "messages" / "test" / ROWS_FILE)
    return Figure("accuracy", section["accuracy"], *bounds, confidence, test)


def _exact_match(folder: Path, measured: Evaluation) -> Figure:
    from groundup.evaluation.intervals import wilson_interval

    section, confidence = measured.summary["instruct"], measured.confidence
    right = round(section["exact_match"] * section["rows"])
    texts = sha256_of_file(measured.splits / "instructions" / "test" / ROWS_FILE)
    test = _sha256(f"{texts}, answers of {measured.settings['response_tokens']} tokens")
    return Figure(
        "exact_match", section["exact_match"], *wilson_interval(right, section["rows"], confidence), confidence, test
    )


def _bits_per_byte(folder: Path, measured: Evaluation) -> Figure:
    settings, confidence = measured.settings, measured.confidence
    store = TokenStore.load(measured.splits / "corpus" / "test")
    value = measured.summary["language_model"]["bits_per_byte"]
    error = bits_error(folder, store, settings["window_stride"], settings["batch_size"], confidence)
    texts = sha256_of_texts(store, Tokenizer.load(folder))
    test = _sha256(f"{texts}, windows move on by {settings['window_stride']} tokens")
    return Figure("bits_per_byte", value, value - error, value + error, confidence, test)


FIGURES: dict[str, Callable[[Path, Evaluation], Figure]] = {
    "pretrained": _bits_per_byte,
    "classifier": _accuracy,
    "instructed": _exact_match,
}


def bits_error(folder: Path, store: TokenStore, stride: int, batch_size: int, confidence: float) -> float:
    """How far the bits per byte of a model may be off, as half the width of an interval.

    The summary has no interval for them, so the test texts are scored once more, in groups, and what the groups differ
    by says what other texts of the sort would give.

    Source: the ratio estimator's variance (Cochran 1977, "Sampling Techniques", chapter 6), Student's t.
    """
    from scipy.stats import t

    from groundup.tasks.language import score_corpus
    from groundup.train.precision import prepare_runtime

    model, tokenizer, _ = load_model(folder, prepare_runtime(load_params().runtime))
    scores = [
        score_corpus(model, group, tokenizer, stride=stride, batch_size=batch_size)
        for group in groups_of_texts(store, GROUPS)
    ]
    if len(scores) < 2:
        return math.inf
    bits = np.array([score.loss_nats / math.log(2) for score in scores])
    sizes = np.array([score.n_bytes for score in scores])
    left = bits - bits.sum() / sizes.sum() * sizes  # what each group needs beyond its share
    standard_error = math.sqrt(len(scores) / (len(scores) - 1) * (left**2).sum()) / sizes.sum()
    return float(t.ppf((1 + confidence) / 2, len(scores) - 1) * standard_error)


def groups_of_texts(store: TokenStore, n_groups: int) -> list[TokenStore]:
    """The documents in groups of neighbours; where there are fewer documents than groups, these are cut."""
    borders = store.offsets
    if len(store) < n_groups:
        borders = np.union1d(borders, np.linspace(0, len(store.tokens), n_groups + 1).astype(np.int64))
    cuts = np.linspace(0, len(borders) - 1, min(n_groups, len(borders) - 1) + 1).astype(int)
    return [
        TokenStore(store.tokens[borders[first] : borders[last]], borders[first : last + 1] - borders[first])
        for first, last in pairwise(cuts)
    ]


def sha256_of_texts(store: TokenStore, tokenizer: Tokenizer) -> str:
    """A digest of the texts that does not depend on how they are cut into tokens."""
    digest = hashlib.sha256()
    for index in range(len(store)):
        text = tokenizer.decode_bytes(store[index].tolist())
        digest.update(f"{len(text)} ".encode() + text)
    return digest.hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
