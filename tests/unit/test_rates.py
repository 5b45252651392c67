"""The search for a learning rate: which rates it tries, what it trains, and what it says."""

import math
from dataclasses import replace

import numpy as np
import pytest
from data_helpers import raw_params
from helpers import TEXTS, byte_tokenizer, token_store

from groundup.data.token_store import write_token_store
from groundup.errors import GroundupError
from groundup.params_file import parse_params
from groundup.repeats import rates
from groundup.repeats.rates import first_documents, in_words, loss_after, search


def valley(best: float):
    """Losses with their minimum at a rate, and infinity from 100 times that on."""
    return lambda rate: math.inf if rate > 100 * best else abs(math.log(rate / best))


@pytest.mark.parametrize(
    ("best", "tried"),
    [
        (1.0, [0.5, 1.0, 2.0]),
        (2.0, [0.5, 1.0, 2.0, 4.0]),
        (0.25, [0.125, 0.25, 0.5, 1.0, 2.0]),
        (1e-4, [2.0**-n for n in range(6, -2, -1)]),
        (1e4, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]),
    ],
)
def test_the_search_goes_past_the_best_rate_on_both_sides_and_no_further(best, tried):
    losses = search(valley(best), 1.0, at_most=8)
    assert list(losses) == tried
    assert losses == {rate: valley(best)(rate) for rate in tried}


def test_where_all_break_down_it_goes_on_downwards():
    assert list(search(lambda rate: math.inf, 1.0, at_most=5)) == [0.125, 0.25, 0.5, 1.0, 2.0]


def test_the_last_rate_that_was_tried_is_told_as_such():
    lines = in_words(search(valley(1e-2), 1.0, at_most=4), 1.0, steps=20, max_steps=20)
    assert len(lines) == 5
    assert lines[0] == "      0.25   3.2189 nats"
    assert lines[-1] == (
        "0.25 has the lowest loss after 20 steps, and it is the last that was tried: the best may lie further on, "
        "1.386 nats below 1: set pretrain.learning_rate to 0.25."
    )


def test_the_best_rate_is_said_with_what_it_gains():
    assert in_words({0.5: 2.0, 1.0: 1.0, 2.0: 3.0}, 1.0, 20, 20)[-1] == (
        "1 has the lowest loss after 20 steps; pretrain.learning_rate is that already."
    )
    broken = in_words({0.5: 2.0, 1.0: 1.0, 2.0: math.inf}, 2.0, 20, 20)
    assert broken[2] == "         2   broke down"
    assert broken[-1] == "1 has the lowest loss after 20 steps: set pretrain.learning_rate to 1."
    assert "No rate gave a loss" in in_words({0.5: math.inf, 1.0: math.inf, 2.0: math.inf}, 1.0, 20, 20)[-1]


def test_a_higher_rate_is_not_advised_for_a_training_that_is_much_longer():
    losses = {0.5: 3.0, 1.0: 2.0, 2.0: 1.0, 4.0: 1.5}
    assert in_words(losses, 1.0, 20, 41)[-1] == (
        "2 has the lowest loss after 20 steps, 1.000 nats below 1: "
        "short trainings favour high rates, and yours has 41 steps; compare again with more --steps."
    )
    assert in_words(losses, 1.0, 20, 40)[-1].endswith("set pretrain.learning_rate to 2.")
    assert in_words(losses, 4.0, 20, 1000)[-1].endswith("set pretrain.learning_rate to 2.")


def test_few_validation_tokens_are_whole_documents_or_the_beginning_of_a_long_one():
    store = token_store([range(5), range(5), range(5)])
    assert first_documents(store, 11).lengths.tolist() == [5, 5]
    assert first_documents(store, 100).lengths.tolist() == [5, 5, 5]
    assert first_documents(store, 3).lengths.tolist() == [3]
    assert first_documents(store, 3).tokens.tolist() == [0, 1, 2]


@pytest.fixture
def project(tmp_path):
    """Tokens, splits, and parameters of a tiny model."""
    tokenizer = byte_tokenizer()
    tokenizer.save(tmp_path / "tokenizer")
    documents = [[*tokenizer.encode(text), tokenizer.end_of_text_id] for text in TEXTS * 4]
    for side in ("train", "validation"):
        write_token_store(tmp_path / "corpus" / side, [np.array(ids) for ids in documents], tokenizer.vocab_size)
    params = parse_params(raw_params())
    model = replace(params.model, context_length=16, d_model=8, n_layers=1, n_heads=1)
    return tmp_path, replace(params, model=model, pretrain=replace(params.pretrain, batch_size=2))


def test_each_rate_is_a_training_of_its_own_from_the_same_weights(project):
    folder, params = project
    loss_at = loss_after(params, folder / "tokenizer", folder, steps=10)
    first, other, again = loss_at(1e-2), loss_at(1e-4), loss_at(1e-2)
    assert first == again
    assert first < other < 6.0  # nats; ln 257 is 5.55


def test_warm_ups_are_over_within_a_short_training(project, monkeypatch):
    folder, params = project
    long = dict.fromkeys(("warmup_steps", "batch_warmup_steps", "length_warmup_steps"), 1000)
    short = dict.fromkeys(long, 2)
    used = []
    train = rates.train

    def seen(model, task, settings, **rest):
        used.append({name: getattr(settings, name) for name in long})
        return train(model, task, settings, **rest)

    monkeypatch.setattr(rates, "train", seen)
    for warm_ups in (long, short):
        each = replace(params, pretrain=replace(params.pretrain, **warm_ups))
        loss_after(each, folder / "tokenizer", folder, steps=10)(1e-2)
    assert used == [{"warmup_steps": 2, "batch_warmup_steps": 5, "length_warmup_steps": 5}, short]


def test_a_training_that_breaks_down_counts_as_infinite(project, monkeypatch):
    folder, params = project

    def breaks_down(*_, **__):
        raise rates.DivergedError("the training loss is no number at step 3")

    monkeypatch.setattr(rates, "train", breaks_down)
    assert loss_after(params, folder / "tokenizer", folder, steps=10)(1.0) == math.inf


def test_given_weights_are_refused_in_one_line(project):
    folder, params = project
    given = replace(params, pretrain=replace(params.pretrain, init="gpt2"))
    with pytest.raises(GroundupError, match="learning rates are tried on random weights; got gpt2; allowed: scratch"):
        loss_after(given, folder / "tokenizer", folder, steps=10)
