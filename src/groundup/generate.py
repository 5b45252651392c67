"""Letting a model write: one token after the other, each from what stands before it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.model.gpt import GPT
from groundup.model.inference import InferenceGPT, KeyValueCache, worth_packing
from groundup.seeding import torch_generator

WritingPrecision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: 0 takes the likeliest token (greedy); below 1 sharpens the choice, above 1 flattens it.
        top_k: keep the k likeliest tokens; 0 keeps all.
        top_p: keep the fewest tokens whose probabilities reach p; 1.0 keeps all.
    Raises: ValueError for a value outside these ranges.
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError(f"temperature and top_k must be 0 or more, top_p in (0, 1], got {self}")


def next_tokens(logits: Tensor, sampling: Sampling, draws: Tensor | None) -> Tensor:
    """Choose a token for each row.

    Args:
        draws: a number in [0, 1) for each row, the only randomness; greedy choosing needs none.
    Shapes:  logits (B, V), draws (B,) -> (B,)
    Oracle:  reference.sampling.next_token
    Source:  top-k: Fan et al. 2018; top-p: Holtzman et al. 2020; the book's chapter 5.
    """
    if sampling.temperature == 0:
        return logits.max(dim=-1).indices  # the first of equals, as argmax has it, in a third of its time or less
    assert draws is not None, "a token cannot be drawn without a draw"
    n_kept = min(sampling.top_k or logits.shape[-1], logits.shape[-1])
    kept, token_ids = torch.topk(logits.float() / sampling.temperature, n_kept)  # exactly n_kept, ties or not; sorted
    probabilities = kept.softmax(dim=-1).cpu()  # a GPU's running sums come out anew each time
    before = probabilities.cumsum(dim=-1) - probabilities  # probability of the likelier tokens
    probabilities = probabilities * (before < sampling.top_p)
    # The token whose stretch of the cumulated probabilities the draw falls into.
    ends = probabilities.cumsum(dim=-1)
    chosen = torch.searchsorted(ends, draws.to(ends)[:, None] * ends[:, -1:], right=True).clamp(max=n_kept - 1)
    return token_ids.gather(1, chosen.to(token_ids.device)).squeeze(1)


def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    sampling: Sampling = Sampling(),
    stop_id: int | None = None,
    seed: int = 0,
    precision: WritingPrecision = "fp32",
    use_cache: bool = True,
) -> list[list[int]]:
    """What the model writes after each prompt, without the prompt and without the stop token.

    A row's result does not depend on the other rows: each has a random generator of its own, from `seed` and its
    place in `prompts`.

    Args:
        precision: fp32 computes with the weights as they are; bf16 rounds them, which is faster where they are many.
        use_cache: without the cache, the model reads every text anew for each token.
    Raises:  ValueError for a prompt without tokens.
    Oracle:  the same with `use_cache=False`
    """
    written: list[list[int]] = [[] for _ in prompts]
    for new in stream(
        model,
        prompts,
        max_new_tokens,
        sampling=sampling,
        stop_id=stop_id,
        seed=seed,
        precision=precision,
        use_cache=use_cache,
    ):
        for row, token_id in new.items():
            written[row].append(token_id)
    return written


@torch.inference_mode()
def stream(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    sampling: Sampling = Sampling(),
    stop_id: int | None = None,
    seed: int = 0,
    precision: WritingPrecision = "fp32",
    use_cache: bool = True,
) -> Iterator[dict[int, int]]:
    """As `generate`, but gives the new tokens as they come: one of each row that is still writing, by row."""
    if not all(len(prompt) for prompt in prompts):
        raise ValueError("a prompt needs at least one token; begin with <|endoftext|> to write from nothing")
    if not prompts:
        return
    was_training = model.training
    model.eval()
    try:
        draws = None if sampling.temperature == 0 else _draws(seed, len(prompts), max_new_tokens)
        texts = {row: list(prompt) for row, prompt in enumerate(prompts)}
        reader = _reader(model, precision, len(prompts), max_new_tokens, use_cache)
        for step in range(max_new_tokens):
            if not texts:
                return
            rows, scores = reader.next_scores(texts)
            chosen = next_tokens(scores, sampling, None if draws is None else draws[rows, step]).tolist()
            new = {row: token_id for row, token_id in zip(rows, chosen, strict=True) if token_id != stop_id}
            for row, token_id in new.items():
                texts[row].append(token_id)
            if len(new) < len(texts):
                texts = {row: texts[row] for row in new}
            if new:
                yield new
    finally:
        model.train(was_training)


def _draws(seed: int, n_rows: int, n_tokens: int) -> Tensor:
    """A number in [0, 1) for each token of each row, whatever the other rows. Shapes: -> (n_rows, n_tokens)"""
    return torch.stack(
        [torch.rand(n_tokens, generator=torch_generator(seed, "sampling", row)) for row in range(n_rows)]
    )


def _reader(model: GPT, precision: WritingPrecision, n_texts: int, max_new_tokens: int, use_cache: bool) -> _Reader:
    """What reads for one call: the weights may be others by the next one."""
    dtype = torch.bfloat16 if precision == "bf16" else model.token_embedding.weight.dtype
    if use_cache:
        packed = worth_packing(model, dtype, n_texts, max_new_tokens)
        return _CachedReader(InferenceGPT(model, dtype, packed=packed))
    return _WholeReader(model if precision == "fp32" else copy.deepcopy(model).to(dtype))


class _Reader:
    """Scores for the token after each text.

    Texts of different lengths are padded on the left, so that their ends line up; the padding is masked and not
    counted in the positions. When a text outgrows the context, its last half of a context is read anew.
    """

    def __init__(self, context_length: int, device: torch.device) -> None:
        self.context_length, self.device = context_length, device
        self.starts: dict[int, int] = {}  # where the part of each text begins that is being read

    def next_scores(self, texts: dict[int, list[int]]) -> tuple[list[int], Tensor]:
        """The rows in some order, and their scores in that order. Shapes: B texts -> B rows, (B, V)"""
        raise NotImplementedError

    def readable(self, texts: dict[int, list[int]]) -> list[list[int]]:
        """The part of each text that the context has room for."""
        for row, text in texts.items():
            if len(text) - self.starts.get(row, 0) > self.context_length:
                self.starts[row] = len(text) - max(1, self.context_length // 2)
        return [text[self.starts.get(row, 0) :] for row, text in texts.items()]


@dataclass(frozen=True)
class _Padded:
    """Texts side by side.

    Shapes:  padding (B,), input_ids and positions (B, T), seen (B, 1, T, T) or None where nothing is padded
    """

    padding: Tensor
    input_ids: Tensor
    positions: Tensor
    seen: Tensor | None


def _padded(texts: Sequence[list[int]], device: torch.device) -> _Padded:
    width = max(len(text) for text in texts)
    padding = torch.tensor([width - len(text) for text in texts], device=device)
    input_ids = torch.tensor([[0] * (width - len(text)) + text for text in texts], device=device)
    index = torch.arange(width, device=device)
    positions = (index - padding[:, None]).clamp(min=0)
    if not padding.any():
        return _Padded(padding, input_ids, positions, None)
    # A query sees keys up to itself that are no padding; a padding query sees itself, since seeing nothing is NaN.
    seen = (index >= padding[:, None])[:, None, :] & (index <= index[:, None])
    return _Padded(padding, input_ids, positions, (seen | torch.eye(width, dtype=torch.bool, device=device))[:, None])


class _WholeReader(_Reader):
    """Reads every text from its beginning each time."""

    def __init__(self, model: GPT) -> None:
        super().__init__(model.config.context_length, model.device)
        self.model = model

    def next_scores(self, texts: dict[int, list[int]]) -> tuple[list[int], Tensor]:
        padded = _padded(self.readable(texts), self.device)
        features = self.model.features(padded.input_ids, positions=padded.positions, mask=padded.seen)
        return list(texts), F.linear(features[:, -1], self.model.head_weight)


class _CachedReader(_Reader):
    """Reads only what is new since the last call, as long as that fits.

    Oracle:  `_WholeReader`
    """

    def __init__(self, network: InferenceGPT) -> None:
        super().__init__(network.config.context_length, network.device)
        self.network = network
        self.cache: KeyValueCache | None = None
        self.rows: list[int] = []
        self.padding = torch.zeros(0, dtype=torch.long)  # tokens of padding before each text
        self.blocked: Tensor | None = None  # -inf at the padding of each text, None where there is none

    def next_scores(self, texts: dict[int, list[int]]) -> tuple[list[int], Tensor]:
        # The longest text fills the cache, so that none outgrows the context before.
        if self.cache is None or self.cache.length == self.cache.capacity:
            return self._read_all(texts)
        if len(texts) < len(self.rows):
            self._drop_ended(texts, self.cache)
        newest = torch.tensor([[texts[row][-1]] for row in self.rows], device=self.device)
        if self.blocked is None:
            return self.rows, self.network.next_scores(newest, None, self.cache, None)
        positions = (self.cache.length - self.padding)[:, None]
        mask = self.blocked[..., : self.cache.length + 1]
        return self.rows, self.network.next_scores(newest, positions, self.cache, mask)

    def _read_all(self, texts: dict[int, list[int]]) -> tuple[list[int], Tensor]:
        padded = _padded(self.readable(texts), self.device)
        self.rows, self.padding, self.blocked = list(texts), padded.padding, None
        self.cache = self.network.new_cache(len(texts), self.context_length)
        mask = None
        if padded.seen is not None:
            keys = torch.arange(self.context_length, device=self.device)
            self.blocked = self._minus_infinity((keys < self.padding[:, None])[:, None, None])
            mask = self._minus_infinity(~padded.seen)
        return self.rows, self.network.next_scores(padded.input_ids, padded.positions, self.cache, mask)

    def _minus_infinity(self, where: Tensor) -> Tensor:
        """-inf there and 0 elsewhere, which attention adds to its scores."""
        return torch.zeros(where.shape, dtype=self.network.dtype, device=self.device).masked_fill_(where, -torch.inf)

    def _drop_ended(self, texts: dict[int, list[int]], cache: KeyValueCache) -> None:
        """The last rows take the places of those that ended, so that the others need not be moved."""
        order = list(range(len(self.rows)))
        for place in reversed([place for place, row in enumerate(self.rows) if row not in texts]):
            order[place] = order[-1]
            order.pop()
        cache.keep_rows(order)
        self.rows = [self.rows[place] for place in order]
        self.padding = self.padding[order]
        self.blocked = None if self.blocked is None else self.blocked[order]
