"""The n-gram model against one that counts with dictionaries, token by token."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from helpers import token_store

from groundup.evaluation.ngram import DISCOUNT_WITHOUT_COUNTS, NgramModel, discounts

VOCABULARY = 7
START = "start"


def random_documents(seed: int, n: int = 60) -> list[list[int]]:
    """Skewed tokens, so that counts differ, with repeats; each document ends with the last token of the vocabulary."""
    generator = np.random.default_rng(seed)
    weights = np.array([8, 4, 3, 2, 1.0])
    return [
        [*generator.choice(5, size=generator.integers(0, 9), p=weights / weights.sum()).tolist(), VOCABULARY - 1]
        for _ in range(n)
    ]


class BruteForce:
    """Modified Kneser-Ney by the book's formulas, one n-gram at a time."""

    def __init__(self, documents: list[list[int]], order: int) -> None:
        self.order = order
        occurrences = [Counter() for _ in range(order + 1)]
        for document in documents:
            marked = [START, *document]
            for end in range(1, len(marked)):
                for length in range(1, min(order, end + 1) + 1):
                    occurrences[length][tuple(marked[end - length + 1 : end + 1])] += 1
        self.counts = [Counter() for _ in range(order + 1)]
        for length in range(1, order + 1):
            for ngram, count in occurrences[length].items():
                if length == order or ngram[0] == START:
                    self.counts[length][ngram] = count
                else:
                    self.counts[length][ngram] = sum(longer[1:] == ngram for longer in occurrences[length + 1])
        self.discounts = [(0.0, 0.0, 0.0)] * (order + 1)
        for length in range(1, order + 1):
            self.discounts[length] = discounts(np.array(list(self.counts[length].values())))
        self.followers = [defaultdict(list) for _ in range(order + 1)]
        for length in range(1, order + 1):
            for ngram, count in self.counts[length].items():
                self.followers[length][ngram[:-1]].append(count)

    def discount(self, length: int, count: int) -> float:
        return self.discounts[length][min(count, 3) - 1] if count else 0.0

    def probability(self, context: tuple, token: int) -> float:
        length = len(context) + 1
        below = self.probability(context[1:], token) if context else 1 / VOCABULARY
        followers = self.followers[length][context]
        if not sum(followers):
            return below
        count = self.counts[length][(*context, token)]
        held_back = sum(self.discount(length, each) for each in followers)
        return (count - self.discount(length, count) + held_back * below) / sum(followers)

    def losses(self, documents: list[list[int]]) -> list[float]:
        found = []
        for document in documents:
            marked = [START, *document]
            for end in range(1, len(marked)):
                context = tuple(marked[max(0, end - self.order + 1) : end])
                found.append(-math.log(self.probability(context, marked[end])))
        return found


@pytest.mark.parametrize("order", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_token_is_as_probable_as_by_brute_force(order, seed):
    train, test = random_documents(seed), random_documents(seed + 10, 30)
    test += [[5, 5, 0, 6], [6], [0, 5, 1, 6]]  # token 5 was never seen
    found = NgramModel(token_store(train), order, VOCABULARY).losses(token_store(test))
    assert found == pytest.approx(BruteForce(train, order).losses(test), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("order", [1, 3, 5])
def test_probabilities_add_up_to_1_after_contexts_seen_and_unseen(order):
    model = NgramModel(token_store(random_documents(2)), order, VOCABULARY)
    for context in ([], [0], [0, 1], [0, 0, 0, 1], [5], [5, 5, 5, 5], [4, 5, 0], [6], [6, 0]):
        last = [model.losses(token_store([[*context, token]]))[-1] for token in range(VOCABULARY)]
        assert np.exp(-np.array(last)).sum() == pytest.approx(1, abs=1e-12)
        assert np.isfinite(last).all()


def test_contexts_do_not_cross_documents():
    model = NgramModel(token_store(random_documents(3)), 4, VOCABULARY)
    documents = random_documents(4, 5)
    alone = [model.losses(token_store([document])) for document in documents]
    assert model.losses(token_store(documents)) == pytest.approx(np.concatenate(alone), rel=1e-15)


def test_discounts_are_those_of_chen_and_goodman():
    counts = np.repeat([1, 2, 3, 4, 5], [8, 4, 2, 1, 3])
    plain = 8 / (8 + 2 * 4)
    wanted = (1 - 2 * plain * 4 / 8, 2 - 3 * plain * 2 / 4, 3 - 4 * plain * 1 / 2)
    assert discounts(counts) == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ([], DISCOUNT_WITHOUT_COUNTS),
        ([1, 1, 3], DISCOUNT_WITHOUT_COUNTS),
        ([2, 2, 3], DISCOUNT_WITHOUT_COUNTS),
        ([1, 1, 2], 0.5),
        ([1, 1, 1, 1, 2, 3], 4 / 6),  # none four times
        ([1, 2, 3, 3, 3, 3, 3, 4], 1 / 3),  # the formula would give a negative discount
    ],
)
def test_where_counts_are_too_few_every_discount_is_the_same(counts, wanted):
    assert discounts(np.array(counts)) == pytest.approx((wanted,) * 3)


@pytest.mark.parametrize("train", [[], [[]], [[6]], [[0, 6], [0, 6]]])
def test_hardly_any_text_makes_a_model_too(train):
    losses = NgramModel(token_store(train), 5, VOCABULARY).losses(token_store([[0, 6], [3, 4, 6]]))
    assert losses.shape == (5,)
    assert np.isfinite(losses).all()


def test_a_longer_context_helps_where_tokens_follow_from_it():
    document = [0, 1, 0, 2, 0, 3, 4, 6]
    losses = [
        NgramModel(token_store([document] * 20), order, VOCABULARY).losses(token_store([document])).sum()
        for order in (1, 2, 3)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[2] < 0.3 * losses[0]
