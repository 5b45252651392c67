"""An n-gram model of the tokens: what counting alone reaches, to stand beside the GPT."""

from dataclasses import dataclass

import numpy as np

from groundup.data.token_store import TokenStore
from groundup.evaluation.lookup import UNSEEN, places_of

HIGHEST_DISCOUNT = 3  # n-grams counted as often or more all lose the same
DISCOUNT_WITHOUT_COUNTS = 0.5  # where too few n-grams were seen to tell what a discount should be


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length, numbered in the order of (number of the context, token).

    Shapes:  keys (n_ngrams,), discounted (n_ngrams + 1,); totals, held_back (n_contexts,)
    """

    keys: np.ndarray  # context and token of each n-gram as one number, ascending
    discounted: np.ndarray  # its count less the discount; then a nought, which the number UNSEEN finds
    totals: np.ndarray  # counts of all n-grams that begin with each context
    held_back: np.ndarray  # what the discounts took from them, for the shorter context to share out


class NgramModel:
    """Interpolated Kneser-Ney smoothing, modified: an n-gram seen once, twice or more often loses its own discount.

    A document begins with a mark of its own, and contexts do not reach beyond it. In all but the longest n-grams what
    counts is in how many contexts an n-gram was met; those at the beginning of a document, which can have but one, are
    counted as they are. Single tokens are interpolated with a uniform distribution over the vocabulary, so that no
    token is impossible. Memory and time grow with the tokens times the order.

    Args:
        train: documents of tokens; each ends with <|endoftext|>, which is predicted like any token.
        order: tokens of the longest n-gram, the predicted one included.
    Oracle:  the brute-force model in tests/unit/test_ngram.py
    Source:  Kneser & Ney 1995; discounts: Ney, Essen & Kneser 1994, Chen & Goodman 1999; beginnings of documents as in
        Heafield et al. 2013.
    """

    def __init__(self, train: TokenStore, order: int, vocab_size: int) -> None:
        self.order, self.vocab_size = order, vocab_size
        self._width = vocab_size + 1  # the mark of a beginning is one more token
        tokens, is_start = _with_starts(train, vocab_size)
        at = np.flatnonzero(~is_start)  # where the n-grams end; those that would begin before a document are left out
        context, suffix = np.zeros(len(tokens), np.int64), np.full(len(tokens), UNSEEN)
        keys, occurrences, suffixes, begin = [], [], [], []
        begins_before = np.zeros(1, bool)  # of each context: whether it begins with the mark
        for length in range(1, order + 1):
            found, first, number, count = np.unique(
                context[at] * self._width + tokens[at], return_index=True, return_inverse=True, return_counts=True
            )
            keys.append(found)
            occurrences.append(count)
            suffixes.append(suffix[at][first])
            begin.append(begins_before[found // self._width])
            suffix = np.full(len(tokens), UNSEEN)
            suffix[at] = number
            context = np.full(len(tokens), UNSEEN)
            context[1:] = suffix[:-1]
            begins_before = begin[-1]
            if length == 1:  # the mark is a context, though never predicted: it takes the number after all tokens
                context[1:][is_start[:-1]] = len(found)
                begins_before = np.append(np.zeros(len(found), bool), True)
            at = at[context[at] != UNSEEN]
        self._starts_number = len(keys[0])
        self._orders = []
        for place in range(order):
            counts = occurrences[place].astype(np.float64)
            if place + 1 < order:
                inner = suffixes[place + 1]
                met_in = np.bincount(inner, minlength=len(counts)).astype(np.float64)
                counts = np.where(begin[place], counts, met_in)
            n_contexts = 1 if place == 0 else len(keys[place - 1]) + (place == 1)
            self._orders.append(_smoothed(keys[place], counts, keys[place] // self._width, n_contexts))

    def losses(self, store: TokenStore) -> np.ndarray:
        """How surprised the model is at each token of some documents.

        Shapes:  -> (N,), as the store's tokens
        Units:   nats
        """
        tokens, is_start = _with_starts(store, self.vocab_size)
        probability = np.full(len(tokens), 1 / self.vocab_size)
        context = np.zeros(len(tokens), np.int64)
        for length, order in enumerate(self._orders, start=1):
            at = np.flatnonzero((context != UNSEEN) & ~is_start)
            number = places_of(context[at] * self._width + tokens[at], order.keys)
            total = order.totals[context[at]]
            known = total > 0  # else the context was met only where a document ended
            mixed = order.discounted[number[known]] + order.held_back[context[at][known]] * probability[at[known]]
            probability[at[known]] = mixed / total[known]
            numbers = np.full(len(tokens), UNSEEN)
            numbers[at] = number
            if length == 1:
                numbers[is_start] = self._starts_number
            context = np.full(len(tokens), UNSEEN)
            context[1:] = numbers[:-1]
        losses: np.ndarray = -np.log(probability[~is_start])
        return losses


def _with_starts(store: TokenStore, mark: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens with a mark before each document, and where the marks are."""
    places = store.offsets[:-1]
    tokens = np.insert(store.tokens.astype(np.int64), places, mark)
    is_start = np.zeros(len(tokens), bool)
    is_start[places + np.arange(len(places))] = True
    return tokens, is_start


def _smoothed(keys: np.ndarray, counts: np.ndarray, contexts: np.ndarray, n_contexts: int) -> _Order:
    by_count = np.array([0.0, *discounts(counts)])
    discount = by_count[np.minimum(counts, HIGHEST_DISCOUNT).astype(np.int64)]
    return _Order(
        keys,
        np.append(counts - discount, 0.0),
        np.bincount(contexts, counts, n_contexts),
        np.bincount(contexts, discount, n_contexts),
    )


def discounts(counts: np.ndarray) -> tuple[float, float, float]:
    """What is taken from an n-gram counted once, twice, and more often, by how many were counted so often.

    Where that cannot be told, since no n-gram was counted three or four times, all lose what those counted once and
    twice tell (plain Kneser-Ney), or a half.

    Source:  Chen & Goodman 1999, equation 26; Ney, Essen & Kneser 1994.
    """
    once, twice, thrice, four_times = (int((counts == n).sum()) for n in (1, 2, 3, 4))
    if not once or not twice:
        return (DISCOUNT_WITHOUT_COUNTS,) * 3
    plain = once / (once + 2 * twice)
    if thrice and four_times:
        found = (
            1 - 2 * plain * twice / once,
            2 - 3 * plain * thrice / twice,
            3 - 4 * plain * four_times / thrice,
        )
        if all(0 < each <= n for n, each in enumerate(found, start=1)):
            return found
    return (plain,) * 3
