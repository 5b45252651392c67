"""What gives the scores for the token after each text, from the whole texts or from what is new in them.

Shape letters: B batch, T tokens, V vocabulary.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.model.gpt import GPT
from groundup.model.inference import InferenceGPT, KeyValueCache

# What a round of guesses takes, as parts of the time of a token alone: to read the newest token and no guess in weights
# laid out for several, and what each guess adds, its making and its reading. At 124 million weights on two cores.
ROUND_TAKES = {torch.float32: (1.2, 0.42), torch.bfloat16: (1.1, 0.56)}
MOST_GUESSES = 8
# Taken for the guesses before the first: of ten, nine were right.
RIGHT_BEFORE, JUDGED_BEFORE = 9, 10


class Reader:
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


class WholeReader(Reader):
    """Reads every text from its beginning each time."""

    def __init__(self, model: GPT) -> None:
        super().__init__(model.config.context_length, model.device)
        self.model = model

    def next_scores(self, texts: dict[int, list[int]]) -> tuple[list[int], Tensor]:
        padded = _padded(self.readable(texts), self.device)
        features = self.model.features(padded.input_ids, positions=padded.positions, mask=padded.seen)
        return list(texts), F.linear(features[:, -1], self.model.head_weight)


class CachedReader(Reader):
    """Reads only what is new since the last call, as long as that fits.

    Args:
        n_tokens: how many tokens are to be written, so that keys and values lie no further apart than they must.
    Oracle:  `WholeReader`
    """

    def __init__(self, network: InferenceGPT, n_tokens: int) -> None:
        super().__init__(network.config.context_length, network.device)
        self.network, self.n_tokens = network, n_tokens
        self.cache: KeyValueCache | None = None
        self.rows: list[int] = []
        self.padding = torch.zeros(0, dtype=torch.long)  # tokens of padding before each text
        self.blocked: Tensor | None = None  # -inf at the padding of each text, None where there is none

    def next_scores(self, texts: dict[int, list[int]]) -> tuple[list[int], Tensor]:
        # The longest text fills the cache, so that none outgrows the context before, or writing ends before it does.
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
        capacity = min(padded.input_ids.shape[1] + self.n_tokens, self.context_length)
        self.cache = self.network.new_cache(len(texts), capacity)
        mask = None
        if padded.seen is not None:
            keys = torch.arange(capacity, device=self.device)
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


class GuessingReader(CachedReader):
    """Reads several tokens of a text at once: the newest, and those that the same weights in 8 bits would write next.

    All scores are of the exact weights, so that what is written is what would be written anyway, but for the rounding
    of sums in another order. Where a token that was chosen is the one that was guessed, the scores after it are known
    already; where it is another, what was read from there on is forgotten.

    Args:
        alone: for reading one token at a time, when guesses do not pay.
        guesser: the same weights in 8 bits.
        choose: the token that would be chosen from scores, as the n-th to be written.
    Oracle:  `CachedReader`
    Source:  Leviathan, Kalman and Matias 2023; a model that guesses for itself: Zhang et al. 2024 ("Draft & Verify")
    """

    def __init__(
        self,
        network: InferenceGPT,
        alone: InferenceGPT,
        guesser: InferenceGPT,
        choose: Callable[[Tensor, int], int],
        n_tokens: int,
    ) -> None:
        super().__init__(network, n_tokens)
        self.alone, self.guesser, self.choose = alone, guesser, choose
        self.n_written = -1  # tokens chosen before this call
        self.ahead: deque[tuple[int, Tensor]] = deque()  # guesses that were read, and the scores after each
        self.right, self.judged = RIGHT_BEFORE, JUDGED_BEFORE

    def next_scores(self, texts: dict[int, list[int]]) -> tuple[list[int], Tensor]:
        ((row, text),) = texts.items()
        self.n_written += 1
        if self.ahead:
            guess, scores = self.ahead.popleft()
            self.judged += 1
            if text[-1] == guess:
                self.right += 1
                return [row], scores
            assert self.cache is not None
            self.cache.forget(1 + len(self.ahead))
            self.ahead.clear()
        if self.cache is None or self.cache.length == self.cache.capacity:
            return self._read_all(texts)
        room = min(self.n_tokens - self.n_written, self.cache.capacity - self.cache.length) - 1
        n_guesses = min(best_number_of_guesses(self.right / self.judged, self.network.dtype), room)
        tokens = [text[-1], *self._guesses(text[-1], n_guesses, self.cache)]
        if n_guesses == 0:
            return [row], self.alone.next_scores(torch.tensor([tokens]), None, self.cache, None)
        scores = self.network.scores_after_each(torch.tensor([tokens]), self.cache)
        first, *others = scores.split(1)
        self.ahead.extend(zip(tokens[1:], others, strict=True))
        return [row], first

    def _guesses(self, newest: int, n_guesses: int, cache: KeyValueCache) -> list[int]:
        guesses = []
        for number in range(n_guesses):
            scores = self.guesser.next_scores(torch.tensor([[newest]]), None, cache, None)
            newest = self.choose(scores, self.n_written + number)
            guesses.append(newest)
        cache.forget(n_guesses)  # keys and values of the exact weights take their place
        return guesses


def best_number_of_guesses(share_right: float, dtype: torch.dtype) -> int:
    """How many guesses a round should make, where such a share of them is right; 0 where they do not pay."""
    check, guess = ROUND_TAKES[dtype]

    def time_of_a_token(n_guesses: int) -> float:
        if n_guesses == 0:
            return 1.0
        # The guesses before the first wrong one, and the token that is chosen after them.
        n_tokens = sum(share_right**n for n in range(n_guesses + 1))
        return (check + n_guesses * guess) / n_tokens

    return min(range(MOST_GUESSES + 1), key=time_of_a_token)
