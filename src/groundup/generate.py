"""Letting a model write: one token after the other, each from what stands before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.model.attention import KeyValueCache
from groundup.model.gpt import GPT
from groundup.seeding import torch_generator


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


def next_tokens(logits: Tensor, sampling: Sampling, draws: Tensor) -> Tensor:
    """Choose a token for each row.

    Args:
        draws: a number in [0, 1) for each row, the only randomness.
    Shapes:  logits (B, V), draws (B,) -> (B,)
    Oracle:  reference.sampling.next_token
    Source:  top-k: Fan et al. 2018; top-p: Holtzman et al. 2020; the book's chapter 5.
    """
    if sampling.temperature == 0:
        return logits.argmax(dim=-1)
    n_kept = min(sampling.top_k or logits.shape[-1], logits.shape[-1])
    kept, token_ids = torch.topk(logits.float() / sampling.temperature, n_kept)  # exactly n_kept, ties or not; sorted
    probabilities = kept.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities  # probability of the likelier tokens
    probabilities = probabilities * (before < sampling.top_p)
    # The token whose stretch of the cumulated probabilities the draw falls into.
    ends = probabilities.cumsum(dim=-1)
    chosen = torch.searchsorted(ends, draws.to(ends)[:, None] * ends[:, -1:], right=True).clamp(max=n_kept - 1)
    return token_ids.gather(1, chosen).squeeze(1)


def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    sampling: Sampling = Sampling(),
    stop_id: int | None = None,
    seed: int = 0,
    use_cache: bool = True,
) -> list[list[int]]:
    """What the model writes after each prompt, without the prompt and without the stop token.

    A row's result does not depend on the other rows: each has a random generator of its own, from `seed` and its
    place in `prompts`.

    Raises:  ValueError for a prompt without tokens.
    """
    written: list[list[int]] = [[] for _ in prompts]
    for new in stream(
        model, prompts, max_new_tokens, sampling=sampling, stop_id=stop_id, seed=seed, use_cache=use_cache
    ):
        for row, token_id in new.items():
            written[row].append(token_id)
    return written


@torch.no_grad()
def stream(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    sampling: Sampling = Sampling(),
    stop_id: int | None = None,
    seed: int = 0,
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
        draws = torch.stack(
            [
                torch.rand(max_new_tokens, generator=torch_generator(seed, "sampling", row))
                for row in range(len(prompts))
            ]
        ).to(model.device)
        texts = {row: list(prompt) for row, prompt in enumerate(prompts)}
        reader = _Reader(model, use_cache)
        for step in range(max_new_tokens):
            if not texts:
                return
            rows = list(texts)
            chosen = next_tokens(reader.next_logits(texts), sampling, draws[rows, step]).tolist()
            new = {row: token_id for row, token_id in zip(rows, chosen, strict=True) if token_id != stop_id}
            for row, token_id in new.items():
                texts[row].append(token_id)
            texts = {row: texts[row] for row in new}
            if new:
                yield new
    finally:
        model.train(was_training)


class _Reader:
    """Scores for the token after each text; reads only what is new since the last call, as long as that fits.

    Texts of different lengths are padded on the left, so that their ends line up; the padding is masked and not
    counted in the positions. When a text outgrows the context, its last half of a context is read anew.
    """

    def __init__(self, model: GPT, use_cache: bool) -> None:
        self.model = model
        self.use_cache = use_cache
        self.cache: KeyValueCache | None = None
        self.rows: list[int] = []
        self.padding = torch.zeros(0, dtype=torch.long)  # tokens of padding before each text
        self.padded = False
        self.starts: dict[int, int] = {}  # where the part of each text begins that is being read

    def next_logits(self, texts: dict[int, list[int]]) -> Tensor:
        """Shapes:  B texts -> (B, V)"""
        limit = self.model.config.context_length
        outgrown = {
            row: len(text) - max(1, limit // 2)
            for row, text in texts.items()
            if len(text) - self.starts.get(row, 0) > limit
        }
        self.starts.update(outgrown)
        read = {row: text[self.starts.get(row, 0) :] for row, text in texts.items()}
        if self.cache is None or outgrown or self.cache.length == self.cache.capacity:
            return self._read_all(read)
        if self.rows != list(texts):  # some texts have ended
            still = torch.tensor([self.rows.index(row) for row in texts], device=self.model.device)
            self.cache.keep_rows(still)
            self.padding = self.padding[still]
            self.rows = list(texts)
        newest = torch.tensor([[text[-1]] for text in read.values()], device=self.model.device)
        positions = torch.tensor([[len(text) - 1] for text in read.values()], device=self.model.device)
        keys = torch.arange(self.cache.length + 1, device=self.model.device)
        mask = (keys >= self.padding[:, None])[:, None, None, :] if self.padded else None  # shape: (B, 1, 1, S)
        features = self.model.features(newest, positions=positions, cache=self.cache, mask=mask)
        return self._scores(features)

    def _read_all(self, texts: dict[int, list[int]]) -> Tensor:
        device = self.model.device
        width = max(len(text) for text in texts.values())
        self.rows = list(texts)
        self.padding = torch.tensor([width - len(text) for text in texts.values()], device=device)
        self.padded = bool(self.padding.any())
        input_ids = torch.tensor([[0] * (width - len(text)) + text for text in texts.values()], device=device)
        if self.use_cache:
            self.cache = self.model.new_cache(len(texts), self.model.config.context_length)
        if not self.padded:
            return self._scores(self.model.features(input_ids, cache=self.cache))
        index = torch.arange(width, device=device)
        positions = (index - self.padding[:, None]).clamp(min=0)  # shape: (B, T)
        # A query sees keys up to itself that are no padding; a padding query sees itself, since seeing nothing is NaN.
        seen = (index >= self.padding[:, None])[:, None, :] & (index <= index[:, None])
        mask = (seen | torch.eye(width, dtype=torch.bool, device=device))[:, None]  # shape: (B, 1, T, T)
        return self._scores(self.model.features(input_ids, positions=positions, cache=self.cache, mask=mask))

    def _scores(self, features: Tensor) -> Tensor:
        return F.linear(features[:, -1], self.model.head_weight)
