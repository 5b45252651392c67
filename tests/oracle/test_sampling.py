"""The next token, and the text made of next tokens, as the slow reference chooses them."""

import numpy as np
import pytest
import torch

from groundup.generate import Sampling, generate, next_tokens
from groundup.model.gpt import GPT, GPTConfig
from groundup.reference import sampling as reference
from groundup.seeding import torch_generator

CHOICES = [
    Sampling(),
    Sampling(temperature=1.0),
    Sampling(temperature=0.3),
    Sampling(temperature=2.5, top_k=5),
    Sampling(temperature=1.0, top_k=1),
    Sampling(temperature=1.0, top_k=1000),
    Sampling(temperature=1.0, top_p=0.6),
    Sampling(temperature=0.7, top_k=9, top_p=0.9),
    Sampling(temperature=1.0, top_p=1e-9),
]


@pytest.mark.parametrize("sampling", CHOICES)
@pytest.mark.parametrize("vocab_size", [1, 2, 40])
def test_the_next_token_is_the_reference_s(sampling, vocab_size):
    generator = torch.Generator().manual_seed(vocab_size)
    logits = 2 * torch.randn(60, vocab_size, generator=generator)
    draws = torch.rand(60, generator=generator)
    chosen = next_tokens(logits, sampling, draws).tolist()
    # The fast code adds up in fp32, the reference in float64: only a draw within 1e-6 of the border of two tokens could
    # tell them apart, and the 60 draws are fixed.
    assert chosen == [
        reference.next_token(row, sampling.temperature, sampling.top_k, sampling.top_p, draw)
        for row, draw in zip(logits.tolist(), draws.tolist(), strict=True)
    ]


def tokens_over_all_draws(logits: list[float], sampling: Sampling, n_draws: int = 2000) -> list[int]:
    draws = (torch.arange(n_draws) + 0.5) / n_draws
    return next_tokens(torch.tensor(logits).expand(n_draws, -1), sampling, draws).tolist()


@pytest.mark.parametrize("top_k", [1, 2, 3, 4, 7])
def test_top_k_keeps_exactly_k_tokens_even_if_all_are_equally_likely(top_k):
    kept = set(tokens_over_all_draws([1.0] * 4, Sampling(temperature=1.0, top_k=top_k)))
    assert len(kept) == min(top_k, 4)
    equal = [reference.next_token([1.0] * 4, 1.0, top_k, 1.0, draw) for draw in np.linspace(0, 0.999, 200)]
    assert len(set(equal)) == min(top_k, 4)


def test_top_k_keeps_the_likeliest_tokens():
    assert set(tokens_over_all_draws([0.0, 2.0, 1.0, 2.5], Sampling(temperature=1.0, top_k=2))) == {1, 3}


def test_top_p_keeps_the_fewest_tokens_that_reach_p():
    logits = np.log([0.5, 0.1, 0.25, 0.15]).tolist()
    for top_p, kept in ((0.4, {0}), (0.51, {0, 2}), (0.74, {0, 2}), (0.76, {0, 2, 3}), (1.0, {0, 1, 2, 3})):
        assert set(tokens_over_all_draws(logits, Sampling(temperature=1.0, top_p=top_p))) == kept


def test_tokens_come_as_often_as_they_are_likely():
    probabilities = np.array([0.5, 0.1, 0.25, 0.15])
    counts = np.bincount(tokens_over_all_draws(np.log(probabilities).tolist(), Sampling(temperature=1.0)), minlength=4)
    # The draws stand 1 / 2000 apart, so a stretch of the line holds as many as its length says, give or take one.
    assert np.abs(counts - 2000 * probabilities).max() <= 1


def test_a_draw_on_the_border_of_two_tokens_belongs_to_the_second():
    just_below = 0.5 - 2**-25
    chosen = next_tokens(torch.zeros(3, 2), Sampling(temperature=1.0), torch.tensor([0.0, just_below, 0.5])).tolist()
    assert chosen[0] == chosen[1] != chosen[2]
    assert [reference.next_token([0.0, 0.0], 1.0, 0, 1.0, draw) for draw in (0.0, just_below, 0.5)] == [0, 0, 1]


def test_a_lower_temperature_sharpens_as_the_formula_says():
    probabilities = np.array([0.6, 0.4])
    counts = np.bincount(tokens_over_all_draws(np.log(probabilities).tolist(), Sampling(temperature=0.5)))
    assert np.abs(counts - 2000 * probabilities**2 / (probabilities**2).sum()).max() <= 1


def test_temperature_zero_takes_the_likeliest_whatever_the_draw():
    assert set(tokens_over_all_draws([0.0, 1.0, 0.9], Sampling())) == {1}


@pytest.mark.parametrize("draw", [0.0, 1 - 2**-24])
def test_the_first_and_the_last_draw_choose_a_token_that_is_in_the_running(draw):
    logits = torch.log(torch.tensor([[0.5, 0.1, 0.25, 0.15]]))
    for sampling, last in ((Sampling(temperature=1.0, top_p=0.6), 2), (Sampling(temperature=1.0), 1)):
        assert next_tokens(logits, sampling, torch.tensor([draw])).item() == (0 if draw == 0.0 else last)


@pytest.fixture(scope="module")
def model() -> GPT:
    """In float64, so that no two scores are too near each other for a cache to keep their order."""
    torch.manual_seed(3)
    made = GPT(GPTConfig(vocab_size=23, context_length=10, d_model=16, n_layers=2, n_heads=2))
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.5)
    return made.double().eval()


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.0, top_k=7, top_p=0.9)])
@pytest.mark.parametrize("use_cache", [True, False])
def test_a_text_is_written_as_the_reference_writes_it_beyond_the_context_too(model, sampling, use_cache):
    prompts = [[1], [2, 3, 4, 5, 6], list(range(10)), list(range(14))]

    def scores_after(tokens: list[int]) -> list[float]:
        with torch.no_grad():
            return model(torch.tensor([tokens]))[0, -1].tolist()

    written = generate(model, prompts, 25, sampling=sampling, seed=5, use_cache=use_cache)
    for row, prompt in enumerate(prompts):
        draws = torch.rand(25, generator=torch_generator(5, "sampling", row)).tolist()
        expected = reference.generate(
            scores_after,
            prompt,
            25,
            context_length=10,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            draws=draws,
        )
        assert written[row] == expected
    assert len({tuple(each) for each in written}) == len(prompts)  # the prompts matter


def test_writing_stops_at_the_stop_token_as_the_reference_does(model):
    def scores_after(tokens: list[int]) -> list[float]:
        with torch.no_grad():
            return model(torch.tensor([tokens]))[0, -1].tolist()

    free = reference.generate(scores_after, [1, 2], 12, context_length=10)
    stop_id = free[5]
    stopped = reference.generate(scores_after, [1, 2], 12, context_length=10, stop_id=stop_id)
    assert stopped == free[: free.index(stop_id)]
    assert generate(model, [[1, 2]], 12, stop_id=stop_id) == [stopped]
