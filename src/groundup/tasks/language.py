"""Next-token prediction on a corpus."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from groundup.config import PretrainParams
from groundup.data.batches import batches_of_like_length, pad, window_starts, windows_of_documents
from groundup.data.token_store import TokenStore
from groundup.errors import GroundupError
from groundup.generate import Sampling, generate
from groundup.model.gpt import GPT
from groundup.model.loss import IGNORE_INDEX, token_loss
from groundup.seeding import derive_seed
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.device import on_device
from groundup.train.schedule import grown

# A sample in the log is to show what the model can do, not its worst luck.
LOG_SAMPLING = Sampling(temperature=0.8, top_k=50)


@dataclass
class TokenBatch:
    """Input tokens and the token that follows each. Shapes: both (B, T)."""

    input_ids: Tensor
    targets: Tensor
    n_targets: int
    n_tokens: int


@dataclass(frozen=True)
class CorpusScore:
    """How well a model predicts a text. Units: nats summed over all targets; bytes of the text."""

    loss_nats: float
    n_targets: int
    n_bytes: int

    def figures(self) -> dict[str, float]:
        """Loss per token, perplexity, and bits per byte, which compares between tokenizers."""
        per_token = self.loss_nats / self.n_targets
        return {
            "loss_nats": per_token,
            "perplexity": math.exp(min(per_token, 700.0)),  # e^700 is near the largest float
            "bits_per_byte": self.loss_nats / math.log(2) / self.n_bytes,
        }


class LanguageTask:
    """Pretraining: windows of the train text in random order, validation on all of the validation side.

    While batches or windows still grow, what a full one has beyond them is not read in that epoch.

    Args:
        text, remedy: what the text is called, and what to do if it is too short.
        learning_rate_key: where the learning rate comes from.
    """

    def __init__(
        self,
        train: TokenStore,
        validation: TokenStore,
        tokenizer: Tokenizer,
        settings: PretrainParams,
        context_length: int,
        seed: int,
        device: torch.device,
        *,
        text: str = "pretrain: the corpus",
        remedy: str = "add text under data.corpus, or lower pretrain.batch_size or model.context_length",
        learning_rate_key: str = "pretrain.learning_rate",
    ) -> None:
        self.train, self.validation, self.tokenizer = train, validation, tokenizer
        self.settings, self.context_length, self.seed, self.device = settings, context_length, seed, device
        self.max_steps, self.learning_rate_key = settings.max_steps, learning_rate_key
        self.alike = not (settings.batch_warmup_steps or settings.length_warmup_steps)
        if not self.max_steps:
            return
        try:
            self._windows(0)
        except ValueError as error:
            raise GroundupError(
                f"{text} is too short for one batch",
                got=str(error),
                allowed=f"{(settings.batch_size + 1) * context_length + 1} tokens or more",
                do=remedy,
            ) from None

    def batches(self, step: int) -> list[TokenBatch]:
        settings = self.settings
        first = step * settings.grad_accum_steps
        rows = grown(step, settings.batch_warmup_steps, settings.batch_size)
        length = grown(step, settings.length_warmup_steps, self.context_length)
        return [
            self._batch(self._windows(number)[:rows, : length + 1])
            for number in range(first, first + settings.grad_accum_steps)
        ]

    def _batch(self, windows: np.ndarray) -> TokenBatch:
        tokens = on_device(windows, self.device)  # shape: (B, T + 1)
        return TokenBatch(
            tokens[:, :-1], tokens[:, 1:], n_targets=tokens[:, 1:].numel(), n_tokens=tokens[:, 1:].numel()
        )

    def _windows(self, number: int) -> np.ndarray:
        """One batch of text. Shapes: (B, T + 1)."""
        length, size = self.context_length, self.settings.batch_size
        if self.settings.windows == "documents":
            end = self.tokenizer.end_of_text_id
            return windows_of_documents(self.train, length, end, size, self.seed, number)
        starts = window_starts(len(self.train.tokens), length, size, self.seed, number)
        return np.stack([self.train.tokens[start : start + length + 1] for start in starts]).astype(np.int64)

    def loss(self, model: GPT, batch: TokenBatch) -> Tensor:
        return token_loss(model.features(batch.input_ids), model.head_weight, batch.targets)

    def validate(self, model: GPT) -> dict[str, float]:
        score = score_corpus(
            model, self.validation, self.tokenizer, stride=self.context_length, batch_size=self.settings.batch_size
        )
        return score.figures()

    def sample(self, model: GPT) -> str | None:
        if not self.settings.sample_tokens:
            return None
        prompt = [self.tokenizer.end_of_text_id, *self.tokenizer.encode(self.settings.sample_prompt)]
        written = generate(
            model,
            [prompt],
            self.settings.sample_tokens,
            sampling=LOG_SAMPLING,
            stop_id=self.tokenizer.end_of_text_id,
            seed=derive_seed(self.seed, "log sample"),
        )
        return self.settings.sample_prompt + self.tokenizer.decode(written[0])


@torch.no_grad()
def score_corpus(model: GPT, store: TokenStore, tokenizer: Tokenizer, *, stride: int, batch_size: int) -> CorpusScore:
    """The loss of every token of every document, each once, <|endoftext|> standing before each document.

    Windows move on by `stride` tokens; in all but a document's first, only the last `stride` tokens count, so each
    token is predicted from at least context_length - stride tokens, where there are so many.

    Raises: GroundupError if the store holds no text.
    """
    was_training = model.training
    model.eval()
    total, n_targets = 0.0, 0
    windows = _scored_windows(store, tokenizer.end_of_text_id, model.config.context_length, stride)
    for batch in batches_of_like_length(windows, lambda window: len(window[0]), batch_size):
        inputs, targets = (on_device(part, model.device) for part in _stack(batch))
        total += token_loss(model.features(inputs), model.head_weight, targets).item()
        n_targets += int((targets != IGNORE_INDEX).sum())
    model.train(was_training)
    n_bytes = int(tokenizer.token_lengths[store.tokens].sum())
    if not n_bytes:
        raise GroundupError("there is no text to score", do="change the shares under split, or add text")
    return CorpusScore(total, n_targets, n_bytes)


def _scored_windows(
    store: TokenStore, end_of_text_id: int, context_length: int, stride: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What is read and what is asked for, IGNORE_INDEX where nothing is. Shapes: (up to T,), the same."""
    for index in range(len(store)):
        document = store[index].astype(np.int64)
        tokens = np.concatenate([[end_of_text_id], document])  # token t is predicted from the tokens before it
        counted = 0
        for start in _window_starts(len(document), context_length, stride):
            end = min(start + context_length, len(document))
            targets = tokens[start + 1 : end + 1].copy()
            targets[: counted - start] = IGNORE_INDEX
            yield tokens[start:end], targets
            counted = end


def _window_starts(length: int, context_length: int, stride: int) -> range:
    return range(0, max(1, length - context_length + stride), stride)


def _stack(windows: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    return pad([inputs for inputs, _ in windows], 0), pad([targets for _, targets in windows], IGNORE_INDEX)
