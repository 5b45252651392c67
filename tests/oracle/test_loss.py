"""The loss and its hand-made gradient equal cross-entropy written out token by token."""

import math

import pytest
import torch

from groundup.model import loss as fast
from groundup.reference import loss as reference

# float64 carries 16 digits; a sum over a few dozen tokens of logarithms near 4 loses two or three of them.
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def example(batch: int, tokens: int, d_model: int, vocab_size: int, dtype=torch.float64):
    """Features and a head that ask for gradients, and targets of which some are not asked for."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(batch, tokens, d_model, generator=generator, dtype=dtype).requires_grad_()
    head = torch.randn(vocab_size, d_model, generator=generator, dtype=dtype).requires_grad_()
    targets = torch.randint(vocab_size, (batch, tokens), generator=generator)
    targets[torch.rand(batch, tokens, generator=generator) < 0.3] = fast.IGNORE_INDEX
    targets[0, 0] = vocab_size - 1
    return features, head, targets


@pytest.mark.parametrize("shape", [(1, 1, 3, 2), (2, 5, 4, 7), (3, 1, 1, 5), (1, 9, 8, 33)])
@pytest.mark.parametrize("share", [1.0, 1 / 7])
def test_token_loss_and_its_gradients_equal_the_loops(shape, share):
    features, head, targets = example(*shape)
    results = []
    for function in (fast.token_loss, reference.token_loss):
        loss = function(features, head, targets)
        results.append([loss, *torch.autograd.grad(loss * share, [features, head])])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_the_gradient_is_right_when_it_is_made_in_several_pieces(monkeypatch):
    monkeypatch.setattr(fast, "ROWS_AT_ONCE", 3)
    features, head, targets = example(2, 7, 4, 6)
    results = []
    for function in (fast.token_loss, reference.token_loss):
        loss = function(features, head, targets)
        results.append([loss, *torch.autograd.grad(loss, [features, head])])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_the_gradient_agrees_with_finite_differences():
    features, head, targets = example(1, 3, 2, 4)
    assert torch.autograd.gradcheck(lambda x, w: fast.token_loss(x, w, targets), (features, head))


def test_the_loss_is_the_same_without_gradients():
    features, head, targets = example(2, 5, 4, 7, dtype=torch.float32)
    with_gradients = fast.token_loss(features, head, targets)
    with torch.no_grad():
        without = fast.token_loss(features, head, targets)
    # Two sums of ten logarithms in fp32, each off by a few roundings of 2^-24.
    torch.testing.assert_close(with_gradients, without, rtol=1e-6, atol=0)


def test_a_batch_that_asks_nothing_costs_nothing_and_changes_nothing():
    features, head, _ = example(2, 3, 4, 5)
    targets = torch.full((2, 3), fast.IGNORE_INDEX)
    loss = fast.token_loss(features, head, targets)
    gradients = torch.autograd.grad(loss, [features, head])
    assert loss.item() == reference.token_loss(features, head, targets).item() == 0
    assert not any(gradient.any() for gradient in gradients)


def test_a_model_that_knows_nothing_is_as_surprised_as_a_die():
    features, head = torch.zeros(1, 4, 3), torch.zeros(6, 3)
    targets = torch.tensor([[0, 5, 2, fast.IGNORE_INDEX]])
    assert fast.token_loss(features, head, targets).item() == pytest.approx(3 * math.log(6), rel=1e-6)


def test_huge_scores_do_not_overflow():
    features = torch.tensor([[[1e4, 0.0]]], dtype=torch.float64)
    head = torch.eye(2, dtype=torch.float64)
    for function in (fast.token_loss, reference.token_loss):
        assert function(features, head, torch.tensor([[1]])).item() == 1e4


def test_in_bf16_the_loss_and_its_gradients_are_those_of_fp32_but_for_rounding():
    features, head, targets = example(2, 9, 16, 33, dtype=torch.float32)
    exact_loss = reference.token_loss(features, head, targets)
    exact = torch.autograd.grad(exact_loss, [features, head])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = fast.token_loss(features, head, targets)
    rounded = torch.autograd.grad(loss, [features, head])
    assert loss.dtype == torch.float32
    assert [gradient.dtype for gradient in rounded] == [torch.float32, torch.float32]
    # A score is a sum of 16 products of numbers rounded by up to 2^-9, and is rounded itself; so it is off by about
    # 0.4 % of its size, with either sign. That is 0.5 % of the length of a gradient (twice that is allowed), and mostly
    # cancels in the sum over 17 tokens.
    assert abs(loss.item() - exact_loss.item()) < 0.002 * exact_loss.item()
    for one, other in zip(rounded, exact, strict=True):
        assert (one - other).norm() < 0.01 * other.norm()


def test_a_gpus_way_from_scores_to_gradients_is_the_same_and_skips_what_is_not_there():
    """It has columns beyond the vocabulary, and rows that nothing is asked of."""
    vocab_size, asked = 13, torch.tensor([True, False, True, True, False])
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 16, generator=generator, dtype=torch.float64)
    targets = torch.tensor([0, fast.IGNORE_INDEX, 12, 5, fast.IGNORE_INDEX])
    expected = scores[asked, :vocab_size].clone()
    loss = fast.in_place(expected, targets[asked], vocab_size)
    torch.testing.assert_close(fast.at_once(scores, targets, vocab_size), loss, **EXACT)
    torch.testing.assert_close(scores[asked, :vocab_size], expected, **EXACT)
    assert not scores[~asked].any()
    assert not scores[:, vocab_size:].any()
