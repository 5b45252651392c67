"""Attention as the model computes it equals attention as the book explains it, in its results and its gradients."""

import math
from itertools import product

import pytest
import torch
from torch import Tensor

from groundup.model.attention import PLAIN_ATTENTION_UP_TO, CausalSelfAttention, attend
from groundup.reference import attention as reference

# float64 carries 16 digits; sums of up to 32 products of numbers near 1 lose two or three of them.
EXACT = {"rtol": 1e-12, "atol": 1e-12}

# (B, H, T, S, D): one token; one head; a query behind a cache; one feature; sizes that are no power of two.
SHAPES = [(1, 1, 1, 1, 4), (2, 1, 5, 5, 4), (2, 3, 1, 6, 4), (1, 2, 7, 7, 1), (2, 3, 4, 4, 5), (1, 2, 12, 12, 8)]


def random_inputs(shape: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """Queries, keys and values that ask for gradients."""
    batch, heads, n_queries, n_keys, d_head = shape
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(batch, heads, tokens, d_head, generator=generator, dtype=torch.float64, requires_grad=True)
        for tokens in (n_queries, n_keys, n_keys)
    ]


def random_mask(shape: tuple[int, ...], seed: int = 1) -> Tensor:
    """A mask of its own for each row of the batch, which leaves every query at least one key."""
    batch, _, n_queries, n_keys, _ = shape
    mask = torch.rand(batch, 1, n_queries, n_keys, generator=torch.Generator().manual_seed(seed)) < 0.5
    mask[..., 0] |= ~mask.any(dim=-1)
    return mask


def value_and_gradients(function, inputs: list[Tensor]) -> list[Tensor]:
    """A function's result, and the gradients of a weighted sum of it, so that no two features count alike."""
    result = function(*inputs)
    weights = torch.linspace(0.5, 1.5, result.numel(), dtype=result.dtype).reshape(result.shape)
    return [result, *torch.autograd.grad((result * weights).sum(), inputs)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("masked", [False, True])
def test_attend_equals_the_loops_in_values_and_gradients(shape, masked):
    inputs = random_inputs(shape)
    mask = random_mask(shape) if masked else None
    fast = value_and_gradients(lambda q, k, v: attend(q, k, v, mask, 0.0), inputs)
    slow = value_and_gradients(lambda q, k, v: reference.causal_attention(q, k, v, mask, 0.0), inputs)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize(("shape", "masked"), [*product(SHAPES, [False, True]), ((1, 2, 3, 7, 4), True)])
def test_attend_in_bf16_equals_the_loops_but_for_rounding(shape, masked):
    inputs = [each.detach().bfloat16() for each in random_inputs(shape)]
    mask = random_mask(shape) if masked else None
    fast = attend(*inputs, mask, 0.0)
    assert fast.dtype == torch.bfloat16
    exact = reference.causal_attention(*(each.double() for each in inputs), mask, 0.0)
    # bf16 has 8 significant bits: a rounding is off by at most u = 2^-9 of the value. Scaled query, score, weight and
    # context are rounded, with either sign, and a context is an average of values, so errors grow with the largest
    # value: four roundings of it at most, and one on average. A wrong scale or mask is off by tenths.
    error = (fast.double() - exact).abs()
    largest = inputs[2].abs().max().item()
    assert error.max().item() <= 4 * 2**-9 * largest
    assert error.mean().item() <= 2**-9 * largest


def test_bf16_gradients_of_attend_are_those_of_fp32_but_for_rounding():
    inputs = random_inputs((2, 2, 9, 9, 8))
    rounded = [each.detach().bfloat16().requires_grad_() for each in inputs]
    exact = [each.detach().double().requires_grad_() for each in rounded]
    fast = value_and_gradients(lambda q, k, v: attend(q, k, v, None, 0.0), rounded)
    slow = value_and_gradients(lambda q, k, v: attend(q, k, v, None, 0.0), exact)
    for one, other in zip(fast[1:], slow[1:], strict=True):
        # A gradient passes about eight roundings of at most 2^-9 of their value, with either sign: their squares add
        # up to about three of them, 0.6 % of its length. Twice that is allowed; a missing scale is off by half.
        assert (one.double() - other).norm() < 0.012 * other.norm()


def test_both_paths_of_bf16_agree_where_one_takes_over_from_the_other():
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 1, PLAIN_ATTENTION_UP_TO + 1, 8, generator=generator).bfloat16() for _ in range(3))
    flash = attend(q, k, v, None, 0.0)[:, :, :-1]
    plain = attend(q[:, :, :-1], k[:, :, :-1], v[:, :, :-1], None, 0.0)
    # Causal: the last token changes nothing before it, so both see the same, and each is off by four roundings of 2^-9
    # of the largest value at most, as above.
    assert (flash.double() - plain.double()).abs().max().item() <= 2 * 4 * 2**-9 * v.abs().max().item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_query_sees_a_later_token(dtype):
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 6, 4, generator=generator).to(dtype) for _ in range(3))
    before = attend(q, k, v, None, 0.0)
    k, v = k.clone(), v.clone()
    k[:, :, 4:], v[:, :, 4:] = 100.0, -100.0
    after = attend(q, k, v, None, 0.0)
    assert torch.equal(before[:, :, :4], after[:, :, :4])
    assert not torch.equal(before[:, :, 4:], after[:, :, 4:])


@pytest.mark.parametrize(
    ("function", "dtype"),
    [(attend, torch.float32), (attend, torch.bfloat16), (reference.causal_attention, torch.float32)],
)
def test_dropout_zeroes_its_share_of_the_weights_and_makes_up_for_them(function, dtype):
    torch.manual_seed(0)
    tokens, dropout = 32, 0.25
    q = k = torch.zeros(1, 1, tokens, tokens, dtype=dtype)
    v = torch.eye(tokens, dtype=dtype)[None, None]  # so that the context vectors are the weights themselves
    everywhere = torch.ones(1, 1, tokens, tokens, dtype=torch.bool)
    weights = function(q, k, v, everywhere, dropout)
    kept = weights[weights != 0]
    # 1024 weights, of which a quarter is dropped give or take 14; five times that would be chance once in a million.
    assert abs((weights == 0).sum().item() - 256) < 70
    torch.testing.assert_close(kept.float(), torch.full_like(kept.float(), 1 / tokens / 0.75), rtol=2**-8, atol=0)


@pytest.mark.parametrize(("heads", "tokens"), [(1, 1), (1, 5), (2, 1), (4, 6), (8, 3)])
@pytest.mark.parametrize("bias", [True, False])
def test_multi_head_attention_equals_head_after_head(heads, tokens, bias):
    torch.manual_seed(heads)
    attention = CausalSelfAttention(8, heads, dropout=0.0, bias=bias).double()
    x = torch.randn(2, tokens, 8, dtype=torch.float64, requires_grad=True)
    weights = [
        attention.query_key_value.weight,
        attention.query_key_value.bias,
        attention.project.weight,
        attention.project.bias,
    ]
    asked = [x, *(weight for weight in weights if weight is not None)]
    fast = value_and_gradients(lambda *_: attention(x), asked)
    slow = value_and_gradients(lambda *_: reference.multi_head_attention(x, *weights, n_heads=heads), asked)
    assert fast[0].shape == (2, tokens, 8)
    for one, other in zip(fast, slow, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


def test_multi_head_attention_with_a_mask_equals_head_after_head():
    torch.manual_seed(0)
    attention = CausalSelfAttention(8, 2, dropout=0.0, bias=True).double()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    mask = random_mask((2, 2, 5, 5, 4))
    weights = (
        attention.query_key_value.weight,
        attention.query_key_value.bias,
        attention.project.weight,
        attention.project.bias,
    )
    slow = reference.multi_head_attention(x, *weights, n_heads=2, mask=mask)
    torch.testing.assert_close(attention(x, mask=mask), slow, **EXACT)


def test_simple_attention_averages_by_likeness():
    # Two opposite tokens: scores 1 and -1, so the weights are e / (e + 1/e) and its rest.
    share = math.e / (math.e + 1 / math.e)
    context = reference.simple_attention(torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64))
    expected = torch.tensor([[2 * share - 1, 0.0], [1 - 2 * share, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(context, expected, **EXACT)


def test_the_steps_of_the_book_lead_into_each_other():
    torch.manual_seed(0)
    x = torch.randn(5, 4, dtype=torch.float64)
    one = torch.eye(4, dtype=torch.float64)
    everywhere = torch.ones(5, 5, dtype=torch.bool)
    # With matrices that change nothing but undo the scale, attention with weights is attention without.
    torch.testing.assert_close(reference.self_attention(x, one * 2, one, one), reference.simple_attention(x), **EXACT)
    # Causal attention that may look everywhere is attention with weights.
    to_query, to_key, to_value = torch.randn(3, 4, 4, dtype=torch.float64)
    q, k, v = ((x @ matrix)[None, None] for matrix in (to_query, to_key, to_value))
    torch.testing.assert_close(
        reference.causal_attention(q, k, v, everywhere, 0.0)[0, 0],
        reference.self_attention(x, to_query, to_key, to_value),
        **EXACT,
    )
