"""Tokens that were guessed with weights in 8 bits are those that the exact weights would have chosen."""

import itertools
import random

import pytest
import torch
from helpers import tiny_gpt

from groundup import generate as writing
from groundup.generate import PreparedGPT, Sampling, generate
from groundup.model import inference, reading
from groundup.model.gpt import GPT
from groundup.model.inference import InferenceGPT, worth_guessing
from groundup.model.reading import GuessingReader, best_number_of_guesses

CAN_GUESS = None not in (inference._QUANTIZED, inference.PACK_IN_8_BITS, inference.PRODUCT_IN_8_BITS) and (
    torch.backends.quantized.engine in inference.ENGINES_IN_8_BITS
)
pytestmark = pytest.mark.skipif(not CAN_GUESS, reason="this torch has no products in 8 bits, or no longer")
GREEDY, RANDOM = Sampling(), Sampling(temperature=1.0, top_k=20, top_p=0.95)
PROMPTS = [[1], [2, 3, 4, 5, 6], list(range(12)), list(range(20))]  # the context is 12 tokens


@pytest.fixture(autouse=True)
def always_guessed(monkeypatch):
    """Tiny models guess too, for texts of any length."""
    monkeypatch.setattr(inference, "GUESSED_FROM_WEIGHTS", 1)
    monkeypatch.setattr(inference, "GUESSED_FROM_TOKENS", 1)


@pytest.fixture
def readers(monkeypatch):
    """The readers that were made."""
    made = []

    def spy(*given):
        made.append(GuessingReader(*given))
        return made[-1]

    monkeypatch.setattr(writing, "GuessingReader", spy)
    return made


@pytest.fixture
def rounds(monkeypatch):
    """How many tokens each round read at once."""
    read = []
    original = InferenceGPT.scores_after_each

    def spy(network, input_ids, cache):
        read.append(input_ids.shape[1])
        return original(network, input_ids, cache)

    monkeypatch.setattr(InferenceGPT, "scores_after_each", spy)
    return read


@pytest.mark.parametrize("sampling", [GREEDY, RANDOM])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_guesses_change_no_token_at_any_length_and_beyond_the_context(rounds, sampling, prompt):
    model = tiny_gpt(seed=1)
    written = generate(model, [prompt], 60, sampling=sampling, seed=4)
    assert written == generate(model, [prompt], 60, sampling=sampling, seed=4, use_cache=False)
    assert len(set(written[0])) > 1  # not one token again and again, which would prove little
    assert 0 < len(rounds) < 40


@pytest.mark.parametrize("sampling", [GREEDY, RANDOM])
def test_wrong_guesses_are_forgotten_and_given_up(rounds, readers, monkeypatch, sampling):
    model, other = tiny_gpt(seed=1), tiny_gpt(seed=2)
    laid_out = InferenceGPT

    def of_another_model(given, dtype, layout):
        return laid_out(other if layout == "8 bits" else given, dtype, layout)

    monkeypatch.setattr(writing, "InferenceGPT", of_another_model)
    written = generate(model, [[1]], 60, sampling=sampling, seed=4)
    assert written == generate(model, [[1]], 60, sampling=sampling, seed=4, use_cache=False)
    (reader,) = readers
    assert best_number_of_guesses(reader.right / reader.judged, torch.float32) == 0
    assert rounds[0] > 1
    assert reader.judged - reading.JUDGED_BEFORE < 20  # so that most of the sixty were written without


def test_a_stop_token_ends_a_guessed_text():
    model = tiny_gpt(seed=1)
    free = generate(model, [[2, 3]], 40, use_cache=False)[0]
    for stop_id in set(free):
        assert generate(model, [[2, 3]], 40, stop_id=stop_id) == [free[: free.index(stop_id)]]


@pytest.mark.parametrize("n_tokens", range(1, 9))
def test_no_more_tokens_are_read_than_are_asked_for(rounds, readers, n_tokens):
    generate(tiny_gpt(seed=1, context_length=64), [[1, 2]], n_tokens)
    (reader,) = readers
    # Each token but the last one may be read: what stands in the cache beside the prompt, guesses among it.
    assert reader.cache.length <= 2 + n_tokens - 1
    assert sum(rounds) == 0 or n_tokens > 2
    assert not reader.ahead


@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=5.0)])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_most_guesses_are_right_and_the_same_text_comes_again(readers, precision, sampling):
    model = tiny_gpt(seed=1, context_length=64)
    written = generate(model, [[1, 2]], 40, precision=precision, sampling=sampling)
    assert generate(model, [[1, 2]], 40, precision=precision, sampling=sampling) == written
    (reader, _) = readers
    assert reader.cache.kept.dtype == (torch.bfloat16 if precision == "bf16" else torch.float32)
    assert reader.cache.capacity == 42
    assert (reader.right - reading.RIGHT_BEFORE) / (reader.judged - reading.JUDGED_BEFORE) > 0.6


def test_several_texts_are_written_without_guesses(readers):
    model = tiny_gpt(seed=1)
    assert generate(model, [[1], [2, 3]], 9) == generate(model, [[1], [2, 3]], 9, use_cache=False)
    assert not readers


@pytest.mark.parametrize("name", ["_QUANTIZED", "PACK_IN_8_BITS", "PRODUCT_IN_8_BITS"])
def test_without_the_operators_nothing_is_guessed(monkeypatch, readers, name):
    model = tiny_gpt(seed=1)
    expected = generate(model, [[1]], 20)
    assert len(readers) == 1
    monkeypatch.setattr(inference, name, None)
    assert generate(model, [[1]], 20) == expected
    assert len(readers) == 1


def test_it_guesses_where_that_pays(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(inference, "GUESSED_FROM_WEIGHTS", 60_000_000)
    with torch.device("meta"):
        large = GPT(tiny_gpt(vocab_size=50257, d_model=768, n_heads=12, n_layers=1, context_length=8).config)
    assert not worth_guessing(large, torch.float32, 1, 1000)  # it is on no CPU
    monkeypatch.setattr(GPT, "device", torch.device("cpu"))
    assert not worth_guessing(large, torch.float32, 1, 1000)
    monkeypatch.setattr(inference, "GUESSED_FROM_WEIGHTS", 40_000_000)
    assert worth_guessing(large, torch.float32, 1, 1000)
    assert worth_guessing(large, torch.bfloat16, 1, 256)
    assert not worth_guessing(large, torch.float64, 1, 1000)
    assert not worth_guessing(large, torch.float32, 2, 1000)
    assert not worth_guessing(large, torch.float32, 1, 255)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_more_guesses_are_right_the_more_are_made(dtype):
    numbers = [best_number_of_guesses(share / 100, dtype) for share in range(101)]
    assert numbers == sorted(numbers)
    assert numbers[0] == numbers[50] == 0
    assert numbers[90] >= 2
    assert numbers[100] == reading.MOST_GUESSES


def test_the_number_of_guesses_is_the_one_that_takes_least_time_in_a_trial():
    check, guess = reading.ROUND_TAKES[torch.float32]
    generator = random.Random(0)

    def time_of_a_token(n_guesses):
        right = [
            sum(1 for _ in itertools.takewhile(lambda _: generator.random() < 0.85, range(n_guesses)))
            for _ in range(20_000)
        ]
        return (check + n_guesses * guess) / (1 + sum(right) / len(right))

    times = [1.0, *(time_of_a_token(n) for n in range(1, reading.MOST_GUESSES + 1))]
    # A trial of 20,000 rounds tells times that differ by 1 % apart.
    assert times[best_number_of_guesses(0.85, torch.float32)] < 1.01 * min(times)
    assert max(times) > 1.05 * min(times)


@pytest.mark.parametrize("bias", [False, True])
def test_a_product_in_8_bits_is_off_by_its_roundings_at_most(bias):
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(24, 64, generator=generator), torch.randn(1, 64, generator=generator)
    weight[3] = 0.0
    shift = torch.randn(24, generator=generator) if bias else None
    layer = inference._in_8_bits(weight, shift)
    exact = torch.nn.functional.linear(x, weight, shift)
    # Each number is off by half a step at most: 1/254 of a row's largest, and 1/510 of the spread of what comes in; the
    # step of the latter moves so that zero is a whole number of steps.
    off_weight, off_x = weight.abs().amax(dim=1) / 254, 1.01 * (x.max() - x.min()) / 255
    bound = off_weight * (x.abs() + off_x).sum() + off_x * weight.abs().sum(dim=1)
    error = (layer.of(x) - exact).abs()[0]
    assert (error <= bound + 1e-5).all()
    assert error.max() > 1e-4  # it is rounded
    # Ones and zeros need no rounding, so that each weight comes out by itself.
    weights = layer.of(torch.eye(64)) - (0.0 if shift is None else shift)
    assert ((weights.t() - weight).abs() <= off_weight[:, None] + 1e-5).all()
    torch.testing.assert_close(layer.gated(x), inference.gelu(layer.of(x)))
    torch.testing.assert_close(layer.added(x, exact), layer.of(x) + exact)


def test_scores_after_each_token_are_those_of_reading_one_by_one():
    network = InferenceGPT(tiny_gpt(seed=2).double(), torch.float64, "plain")
    ids = torch.randint(31, (1, 10), generator=torch.Generator().manual_seed(0))
    together, one_by_one = network.new_cache(1, 12), network.new_cache(1, 12)
    with torch.no_grad():
        for cache in (together, one_by_one):
            network.next_scores(ids[:, :4], None, cache, None)
        found = network.scores_after_each(ids[:, 4:], together)
        expected = [network.next_scores(ids[:, at : at + 1], None, one_by_one, None) for at in range(4, 10)]
    # float64: only the order of the sums differs.
    torch.testing.assert_close(found, torch.cat(expected), rtol=1e-12, atol=1e-12)
    assert together.length == one_by_one.length == 10
    together.forget(3)
    with torch.no_grad():
        again = network.scores_after_each(ids[:, 7:], together)
    torch.testing.assert_close(again, found[3:], rtol=1e-12, atol=1e-12)
    with pytest.raises(AssertionError, match="more was to be forgotten"):
        together.forget(11)


@pytest.fixture
def laid_out(monkeypatch):
    """The layouts that were made."""
    made = []

    def spy(model, dtype, layout):
        made.append(layout)
        return InferenceGPT(model, dtype, layout)

    monkeypatch.setattr(writing, "InferenceGPT", spy)
    return made


def test_weights_are_laid_out_once_for_all_texts(laid_out):
    model = tiny_gpt(seed=1)
    prepared = PreparedGPT(model, "bf16")
    first = prepared.generate([[1]], 16)
    once = list(laid_out)
    assert "8 bits" in once
    assert prepared.generate([[1]], 16) == first
    assert laid_out == once
    assert generate(model, [[1]], 16, precision="bf16") == first
    assert laid_out == once * 2


@pytest.mark.skipif(inference.PACK is None or inference.PACKED_PRODUCT is None, reason="this torch cannot pack")
def test_guesses_are_read_in_the_layout_for_several_rows_where_that_pays(laid_out, monkeypatch):
    monkeypatch.setattr(inference, "_processor", lambda: "intel")
    wide = tiny_gpt(d_model=384, n_layers=1)
    generate(wide, [[1]], inference.PACKED_FROM_TOKENS)
    assert sorted(laid_out) == ["8 bits", "packed", "plain"]
    laid_out.clear()
    generate(wide, [[1]], inference.PACKED_FROM_TOKENS - 1)
    assert sorted(laid_out) == ["8 bits", "plain"]
