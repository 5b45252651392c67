"""Writing: the cache changes nothing, rows do not meet, and it ends where it should."""

import math

import pytest
import torch
from helpers import tiny_gpt

from groundup.generate import PreparedGPT, Sampling, generate, next_tokens

PROMPTS = [[1], [2, 3, 4, 5, 6], list(range(7, 19)), [1, 2, 3], list(range(20))]  # the context is 12 tokens
GREEDY, RANDOM = Sampling(), Sampling(temperature=1.0, top_k=20, top_p=0.95)


@pytest.fixture(scope="module")
def model():
    """In float64, so that a cache, which adds up in another order, cannot swap two nearly equal scores."""
    return tiny_gpt(seed=1).double()


@pytest.mark.parametrize("sampling", [GREEDY, RANDOM])
@pytest.mark.parametrize("prompts", [PROMPTS, PROMPTS[1:2], [[1, 2], [3, 4], [5, 6]]])
def test_a_cache_changes_nothing_at_any_lengths_and_beyond_the_context(model, sampling, prompts):
    with_cache = generate(model, prompts, 30, sampling=sampling, seed=4, use_cache=True)
    without = generate(model, prompts, 30, sampling=sampling, seed=4, use_cache=False)
    assert with_cache == without
    assert [len(row) for row in with_cache] == [30] * len(prompts)
    assert len(set(with_cache[0])) > 3  # not one token again and again, which would prove little


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("stop_id", [None, 3])
def test_greedy_each_row_is_written_as_if_it_were_alone(model, use_cache, stop_id):
    together = generate(model, PROMPTS, 25, stop_id=stop_id, use_cache=use_cache)
    assert together == [generate(model, [prompt], 25, stop_id=stop_id, use_cache=use_cache)[0] for prompt in PROMPTS]


def test_a_row_does_not_depend_on_the_rows_behind_it(model):
    first = generate(model, PROMPTS[:2], 10, sampling=RANDOM, seed=1)
    assert generate(model, PROMPTS, 10, sampling=RANDOM, seed=1)[:2] == first


def test_the_seed_and_nothing_else_decides(model):
    torch.manual_seed(0)
    first = generate(model, PROMPTS, 10, sampling=RANDOM, seed=1)
    torch.manual_seed(1)
    assert generate(model, PROMPTS, 10, sampling=RANDOM, seed=1) == first
    assert generate(model, PROMPTS, 10, sampling=RANDOM, seed=2) != first


def test_each_token_of_each_row_has_a_draw_of_its_own(model, monkeypatch):
    seen = []

    def spy(scores, sampling, draws):
        seen.append(draws)
        return next_tokens(scores, sampling, draws)

    monkeypatch.setattr("groundup.generate.next_tokens", spy)
    generate(model, PROMPTS, 20, sampling=RANDOM, seed=1)
    assert torch.stack(seen).unique().numel() == 20 * len(PROMPTS)


def test_equal_prompts_in_one_batch_are_written_on_differently(model):
    first, second = generate(model, [[1, 2], [1, 2]], 12, sampling=RANDOM, seed=0)
    assert first != second


def test_a_row_ends_before_its_stop_token_and_the_others_go_on(model):
    free = generate(model, PROMPTS, 12)
    # A token that some rows write, at different places, and others do not.
    stop_id = next(
        token for token in range(31) if 0 < sum(token in row for row in free) < len(free) and free[0][:1] != [token]
    )
    stopped = generate(model, PROMPTS, 12, stop_id=stop_id)
    assert stopped == [row[: row.index(stop_id)] if stop_id in row else row for row in free]


def test_a_row_that_stops_at_once_is_empty_and_all_stopped_ends_the_writing(model):
    first = generate(model, [[1, 2]], 1)[0][0]
    assert generate(model, [[1, 2]], 8, stop_id=first) == [[]]
    assert list(PreparedGPT(model).stream([[1, 2]], 8, stop_id=first)) == []


def test_stream_gives_the_tokens_of_generate_one_at_a_time(model):
    written: dict[int, list[int]] = {row: [] for row in range(len(PROMPTS))}
    for new in PreparedGPT(model).stream(PROMPTS, 9, sampling=RANDOM, seed=3):
        for row, token in new.items():
            written[row].append(token)
    assert list(written.values()) == generate(model, PROMPTS, 9, sampling=RANDOM, seed=3)


def test_nothing_is_written_where_nothing_is_asked(model):
    assert generate(model, [[1], [2, 3]], 0) == [[], []]


def test_writing_leaves_the_model_in_its_mode():
    model = tiny_gpt(dropout=0.5)
    for training in (True, False):
        model.train(training)
        before = generate(model, [[1, 2]], 5)
        assert model.training == training
        assert generate(model, [[1, 2]], 5) == before  # dropout is off while it writes


def test_an_empty_prompt_is_refused(model):
    with pytest.raises(ValueError, match="at least one token"):
        generate(model, [[1], []], 3)


@pytest.mark.parametrize(
    ("name", "wrong", "allowed"),
    [
        *(("temperature", wrong, "0 or more, and finite") for wrong in (-0.1, math.nan, math.inf)),
        ("top_k", -1, "0 or more"),
        *(("top_p", wrong, "above 0 and at most 1") for wrong in (0.0, 1.1, math.nan)),
    ],
)
def test_a_sampling_outside_its_ranges_is_refused(name, wrong, allowed):
    with pytest.raises(ValueError, match=f"^{name} must be {allowed}, got {wrong}$"):
        Sampling(**{name: wrong})


@pytest.mark.parametrize("temperature", [1e-6, 9e-7, 1e-30, 1e-320])
def test_next_to_no_temperature_takes_the_likeliest_token(temperature):
    scores = torch.tensor([[1.0, 80.0, 79.0], [-3.0, -2.0, -1.0]])
    for draws in ([0.0, 0.0], [0.999, 0.999]):
        assert next_tokens(scores, Sampling(temperature), torch.tensor(draws)).tolist() == [1, 2]
