"""Letting a model write: one token after the other, each from what stands before it."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from groundup.model.gpt import GPT
from groundup.model.inference import InferenceGPT, Layout, best_layout, worth_guessing
from groundup.model.reading import MOST_GUESSES, CachedReader, GuessingReader, Reader, WholeReader
from groundup.seeding import torch_generator

WritingPrecision = Literal["fp32", "bf16"]

# Scores divided by much less are no numbers in fp32; by this, one a hundred-thousandth behind is chosen once in 22,000.
AS_GOOD_AS_GREEDY = 1e-6


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
        for name, fits, allowed in (
            ("temperature", 0 <= self.temperature < math.inf, "0 or more, and finite"),
            ("top_k", self.top_k >= 0, "0 or more"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
        ):
            if not fits:
                raise ValueError(f"{name} must be {allowed}, got {getattr(self, name)}")

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is taken, without a draw."""
        return self.temperature < AS_GOOD_AS_GREEDY


def next_tokens(logits: Tensor, sampling: Sampling, draws: Tensor | None) -> Tensor:
    """Choose a token for each row.

    Args:
        draws: a number in [0, 1) for each row, the only randomness; greedy choosing needs none.
    Shapes:  logits (B, V), draws (B,) -> (B,)
    Oracle:  reference.sampling.next_token
    Source:  top-k: Fan et al. 2018; top-p: Holtzman et al. 2020; the book's chapter 5.
    """
    if sampling.is_greedy:
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


class PreparedGPT:
    """A model made ready to write: its weights are laid out once, however often it writes then.

    They are those of the moment when it first writes so many texts at once: make another one when the weights change.

    Args:
        precision: fp32 computes with the weights as they are; bf16 rounds them, which is faster where they are many.
        n_tokens: how many tokens of each text are to come in all, since not every layout is worth its making for few.
        use_cache: without the cache, the model reads every text anew for each token.
    Oracle:  the same with `use_cache=False`
    """

    def __init__(
        self, model: GPT, precision: WritingPrecision = "fp32", *, n_tokens: float = math.inf, use_cache: bool = True
    ) -> None:
        self.model, self.n_tokens, self.use_cache = model, n_tokens, use_cache
        self.dtype = torch.bfloat16 if precision == "bf16" else model.token_embedding.weight.dtype
        self._laid_out: dict[Layout, InferenceGPT] = {}

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        *,
        sampling: Sampling = Sampling(),
        stop_id: int | None = None,
        seed: int = 0,
    ) -> list[list[int]]:
        """What the model writes after each prompt, without the prompt and without the stop token.

        A row's result does not depend on the other rows: each has a random generator of its own, from `seed` and its
        place in `prompts`.

        Raises:  ValueError for a prompt without tokens.
        """
        written: list[list[int]] = [[] for _ in prompts]
        for new in self.stream(prompts, max_new_tokens, sampling=sampling, stop_id=stop_id, seed=seed):
            for row, token_id in new.items():
                written[row].append(token_id)
        return written

    @torch.inference_mode()
    def stream(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        *,
        sampling: Sampling = Sampling(),
        stop_id: int | None = None,
        seed: int = 0,
    ) -> Iterator[dict[int, int]]:
        """As `generate`, but gives the new tokens as they come: one of each row that is still writing, by row."""
        if not all(len(prompt) for prompt in prompts):
            raise ValueError("a prompt needs at least one token; begin with <|endoftext|> to write from nothing")
        if not prompts:
            return
        was_training = self.model.training
        self.model.eval()
        try:
            draws = None if sampling.is_greedy else _draws(seed, len(prompts), max_new_tokens)

            def choose(rows: list[int], scores: Tensor, number: int) -> list[int]:
                return next_tokens(scores, sampling, None if draws is None else draws[rows, number]).tolist()

            texts = {row: list(prompt) for row, prompt in enumerate(prompts)}
            reader = self._reader(len(prompts), max_new_tokens, lambda scores, number: choose([0], scores, number)[0])
            for number in range(max_new_tokens):
                if not texts:
                    return
                rows, scores = reader.next_scores(texts)
                chosen = choose(rows, scores, number)
                new = {row: token_id for row, token_id in zip(rows, chosen, strict=True) if token_id != stop_id}
                for row, token_id in new.items():
                    texts[row].append(token_id)
                if len(new) < len(texts):
                    texts = {row: texts[row] for row in new}
                if new:
                    yield new
        finally:
            self.model.train(was_training)

    def _reader(self, n_texts: int, max_new_tokens: int, choose: Callable[[Tensor, int], int]) -> Reader:
        if not self.use_cache:
            exact = self.dtype == self.model.token_embedding.weight.dtype
            return WholeReader(self.model if exact else copy.deepcopy(self.model).to(self.dtype))
        network = self._network(n_texts)
        if not worth_guessing(self.model, self.dtype, n_texts, self.n_tokens):
            return CachedReader(network, max_new_tokens)
        several, guesser = self._network(MOST_GUESSES), self._in_layout("8 bits", torch.float32)
        return GuessingReader(several, network, guesser, choose, max_new_tokens)

    def _network(self, n_texts: int) -> InferenceGPT:
        return self._in_layout(best_layout(self.model, self.dtype, n_texts, self.n_tokens), self.dtype)

    def _in_layout(self, layout: Layout, dtype: torch.dtype) -> InferenceGPT:
        if layout not in self._laid_out:
            self._laid_out[layout] = InferenceGPT(self.model, dtype, layout)
        return self._laid_out[layout]


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
    """`PreparedGPT.generate` of a model that writes once, whose weights may be others by the next call.

    Raises:  ValueError for a prompt without tokens.
    """
    prepared = PreparedGPT(model, precision, n_tokens=max_new_tokens, use_cache=use_cache)
    return prepared.generate(prompts, max_new_tokens, sampling=sampling, stop_id=stop_id, seed=seed)


def _draws(seed: int, n_rows: int, n_tokens: int) -> Tensor:
    """A number in [0, 1) for each token of each row, whatever the other rows. Shapes: -> (n_rows, n_tokens)"""
    return torch.stack(
        [torch.rand(n_tokens, generator=torch_generator(seed, "sampling", row)) for row in range(n_rows)]
    )
