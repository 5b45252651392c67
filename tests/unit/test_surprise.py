"""The loss of each token, and what is told of where it is high."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import byte_tokenizer, tiny_gpt, token_store

from groundup.errors import GroundupError
from groundup.evaluation import surprise
from groundup.evaluation.surprise import (
    resampled_parts,
    sums_of_parts,
    surprise_by_document,
    surprise_by_frequency,
    surprise_by_position,
    token_losses,
)
from groundup.tasks.language import score_corpus

CONTEXT = 12
END = 256
TOKENIZER = byte_tokenizer()


def texts_of_all_lengths() -> list[list[int]]:
    generator = np.random.default_rng(0)
    return [[*generator.integers(0, END, length).tolist(), END] for length in (0, 1, 5, 11, 12, 13, 24, 40, 97, 3)]


@pytest.mark.parametrize("stride", [1, 5, 6, 12])
@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_the_losses_add_up_to_the_score_of_the_corpus(stride, batch_size):
    model, store = tiny_gpt(vocab_size=257, context_length=CONTEXT), token_store(texts_of_all_lengths())
    losses = token_losses(model, store, END, stride=stride, batch_size=batch_size)
    score = score_corpus(model, store, TOKENIZER, stride=stride, batch_size=batch_size)
    assert losses.shape == (score.n_targets,) == store.tokens.shape
    assert losses.dtype == np.float32
    assert losses.sum(dtype=float) == pytest.approx(score.loss_nats, rel=1e-4)


def test_each_token_is_predicted_from_those_before_it_in_its_document():
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT)
    documents = [each for each in texts_of_all_lengths() if len(each) <= CONTEXT]
    losses = token_losses(model, token_store(documents), END, stride=6, batch_size=3)
    expected = []
    for document in documents:
        with torch.no_grad():
            logits = model(torch.tensor([[END, *document[:-1]]]))[0]
        expected += F.cross_entropy(logits, torch.tensor(document), reduction="none").tolist()
    assert losses == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_scores_of_the_vocabulary_are_made_for_a_few_tokens_at_a_time(monkeypatch):
    model, store = tiny_gpt(vocab_size=257, context_length=CONTEXT), token_store(texts_of_all_lengths())
    whole = token_losses(model, store, END, stride=6, batch_size=4)
    monkeypatch.setattr(surprise, "ROWS_AT_ONCE", 5)
    sizes, real = [], F.linear

    def linear(rows, weight, *rest):
        if len(weight) == 257:
            sizes.append(len(rows))
        return real(rows, weight, *rest)

    monkeypatch.setattr(surprise.F, "linear", linear)
    assert token_losses(model, store, END, stride=6, batch_size=4) == pytest.approx(whole, rel=1e-5)
    assert max(sizes) == 5


def test_scoring_leaves_the_model_in_its_mode():
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT)
    for training in (True, False):
        model.train(training)
        token_losses(model, token_store([[1, END]]), END, stride=6, batch_size=4)
        assert model.training is training


@pytest.mark.parametrize("documents", [[], [[END], [END]]])
def test_without_text_there_is_nothing_to_score(documents):
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT)
    with pytest.raises(GroundupError, match="no text to score"):
        token_losses(model, token_store(documents), END, stride=6, batch_size=4)


def test_a_document_without_tokens_changes_nothing():
    model = tiny_gpt(vocab_size=257, context_length=CONTEXT)
    losses = token_losses(model, token_store([[1, 2, END]]), END, stride=6, batch_size=1)
    among = token_losses(model, token_store([[], [1, 2, END], []]), END, stride=6, batch_size=1)
    assert among.tolist() == losses.tolist()


def test_losses_are_told_by_the_place_in_the_document():
    lengths = [1, 3, 0, 9, 20]
    offsets = np.cumsum([0, *lengths])
    losses = np.concatenate([np.arange(length, dtype=np.float32) for length in lengths])
    assert surprise_by_position(losses, offsets) == [
        {"from": 0, "to": 0, "tokens": 4, "loss_nats": 0.0},
        {"from": 1, "to": 3, "tokens": 8, "loss_nats": pytest.approx((1 + 2 + 1 + 2 + 3 + 1 + 2 + 3) / 8)},
        {"from": 4, "to": 7, "tokens": 8, "loss_nats": 5.5},
        {"from": 8, "to": 15, "tokens": 9, "loss_nats": pytest.approx((8 + sum(range(8, 16))) / 9)},
        {"from": 16, "to": 19, "tokens": 4, "loss_nats": 17.5},
    ]


def test_losses_are_told_by_how_often_the_token_was_met():
    train = np.repeat(np.array([1, 2, 3], np.uint16), [1, 9, 10])
    tokens = np.array([0, 1, 2, 3, 3, 0], np.uint16)
    losses = np.array([8, 1, 2, 3, 4, 6], np.float32)
    assert surprise_by_frequency(losses, tokens, train, 5) == [
        {"from": 0, "to": 0, "tokens": 2, "loss_nats": 7.0},
        {"from": 1, "to": 9, "tokens": 2, "loss_nats": 1.5},
        {"from": 10, "to": 10, "tokens": 2, "loss_nats": 3.5},
    ]


def test_the_most_surprising_documents_are_shown_with_their_text_and_empty_ones_never():
    texts = ["aa", "", "bbbb", "c" * 5000, "dd"]
    store = token_store([[*TOKENIZER.encode(text), END] for text in texts])
    n_bytes = np.array([len(text) for text in texts], float)
    told = surprise_by_document(
        np.array([2, 9, 12, 5000, 8.0]), n_bytes, store, TOKENIZER, np.array([1, 0, 8, 500, 2.0])
    )
    assert told["documents"] == 4
    assert told["most_surprising"] == [
        {"text": "dd", "bits_per_byte": 4.0, "floor_bits_per_byte": 1.0},
        {"text": "bbbb", "bits_per_byte": 3.0, "floor_bits_per_byte": 2.0},
        {"text": "aa", "bits_per_byte": 1.0, "floor_bits_per_byte": 0.5},
    ]
    assert told["quantiles"]["0.5"] == 2.0
    long = surprise_by_document(np.array([1, 9, 4, 50000, 1.0]), n_bytes, store, TOKENIZER, None)["most_surprising"][0]
    assert long == {"text": "c" * 2000 + "…", "bits_per_byte": 10.0}


def test_sums_of_parts_are_exact_where_parts_are_empty():
    values = np.array([1, 2, 3, 4], np.float32)
    assert sums_of_parts(values, np.array([0, 2, 2, 4])).tolist() == [3.0, 0.0, 7.0]


def test_documents_are_drawn_anew_where_there_are_enough_and_else_pieces():
    many = np.arange(0, 201, 10)
    assert resampled_parts(many, 4).tolist() == many.tolist()
    assert resampled_parts(np.array([0, 5, 5, 9, 10]), 4).tolist() == [0, 4, 5, 9, 10]
    assert math.isclose(resampled_parts(np.array([0, 100_000]), 100).size, 1001)
