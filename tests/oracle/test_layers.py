"""The layers that look at one token at a time equal their formulas."""

from unittest import mock

import pytest
import torch

from groundup.model import layers
from groundup.model.layers import FeedForward, LayerNorm, dropout, gelu
from groundup.model.lora import LoraLinear
from groundup.reference import layers as reference

# float64 carries 16 digits; a mean over a few dozen features and one root or tanh lose two or three of them.
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def assert_equal_with_gradients(fast, slow, asked):
    weights = torch.linspace(0.5, 1.5, fast.numel(), dtype=fast.dtype).reshape(fast.shape)
    torch.testing.assert_close(fast, slow, **EXACT)
    gradients = [torch.autograd.grad((result * weights).sum(), asked) for result in (fast, slow)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("shape", [(2,), (1, 1, 3), (2, 5, 8), (2, 1, 33)])
@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm_equals_its_formula(shape, bias):
    norm = LayerNorm(shape[-1], bias).double()
    with torch.no_grad():
        for number, parameter in enumerate(norm.parameters()):
            parameter.copy_(normal(shape[-1], seed=number + 1))
    x = normal(*shape)
    asked = [x, *norm.parameters()]
    assert_equal_with_gradients(norm(x), reference.layer_norm(x, norm.weight, norm.bias), asked)


def test_layer_norm_leaves_equal_features_at_zero():
    norm = LayerNorm(4, bias=False).double()
    assert torch.equal(norm(torch.full((1, 4), 7.0, dtype=torch.float64)), torch.zeros(1, 4, dtype=torch.float64))


def test_gelu_equals_its_tanh_form():
    x = torch.linspace(-6, 6, 101, dtype=torch.float64).requires_grad_()
    assert_equal_with_gradients(gelu(x), reference.gelu(x), [x])


def test_gelu_is_near_the_exact_gate_and_not_equal_to_it():
    x = torch.linspace(-6, 6, 101, dtype=torch.float64)
    exact = x * 0.5 * (1 + torch.erf(x / 2**0.5))
    # The paper's tanh form is at most 5e-4 off; GPT-2's weights expect it, so the exact gate would be wrong too.
    assert 1e-5 < (gelu(x) - exact).abs().max().item() < 5e-4


@pytest.mark.parametrize("bias", [True, False])
def test_feed_forward_equals_its_three_steps(bias):
    torch.manual_seed(0)
    layer = FeedForward(6, dropout=0.0, bias=bias).double()
    x = normal(2, 3, 6)
    slow = reference.feed_forward(x, layer.widen.weight, layer.widen.bias, layer.narrow.weight, layer.narrow.bias)
    assert_equal_with_gradients(layer(x), slow, [x, *layer.parameters()])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_dropout_drops_and_scales_as_torch_does(share, dtype):
    torch.manual_seed(0)
    ones = torch.ones(100_003, dtype=dtype)
    ours, theirs = dropout(ones, share, True), torch.nn.functional.dropout(ones, share)
    assert ours.dtype == dtype
    assert len(ours.unique()) == len(theirs.unique()) == 2
    torch.testing.assert_close(ours.max(), theirs.max(), rtol=1e-2, atol=0)
    # The standard deviation of the share is at most 0.0016; both lie within five of them.
    for kept in ((ours != 0), (theirs != 0)):
        assert abs(kept.double().mean().item() - (1 - share)) < 0.008


def test_each_place_is_dropped_by_itself():
    """Four places share a draw; none of them may know of the others, nor of the next draw."""
    torch.manual_seed(0)
    dropped = (dropout(torch.ones(400_000), 0.3, True) == 0).double().view(-1, 4)
    assert (dropped.mean(0) - 0.3).abs().max() < 0.01
    neighbours = torch.cat([dropped[:-1], dropped[1:]], dim=1)
    assert (torch.corrcoef(neighbours.T) - torch.eye(8, dtype=torch.float64)).abs().max() < 0.02


def test_dropout_follows_from_the_seed_and_lets_gradients_through_where_it_keeps():
    x = torch.ones(7, 5, requires_grad=True)
    torch.manual_seed(1)
    first = dropout(x, 0.5, True)
    torch.manual_seed(1)
    assert torch.equal(dropout(x, 0.5, True), first)
    assert not torch.equal(dropout(x, 0.5, True), first)
    first.sum().backward()
    assert torch.equal(x.grad, first.detach())
    assert dropout(x, 0.5, False) is x
    assert dropout(x, 0.0, True) is x


def gradients(gate, x: torch.Tensor, widen: torch.nn.Linear, upstream: torch.Tensor) -> list[torch.Tensor]:
    """What comes out in bf16, and the gradients of input, weight and bias."""
    inputs = [x.clone().requires_grad_(), *widen.parameters()]
    widen.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gated = gate(inputs[0], widen)
    gated.backward(upstream.to(gated.dtype))
    return [gated.detach(), *(each.grad.clone() for each in inputs)]


@pytest.mark.skipif(layers.FUSED is None, reason="this torch has no oneDNN")
@pytest.mark.parametrize("bias", [True, False])
def test_widening_and_gating_in_one_operation_is_doing_one_after_the_other(bias, monkeypatch):
    torch.manual_seed(1)
    widen = torch.nn.Linear(48, 192, bias=bias)
    x, upstream = 2 * torch.randn(3, 7, 48), torch.randn(3, 7, 192)
    fused = mock.Mock(side_effect=layers.FUSED)
    monkeypatch.setattr(layers, "FUSED", fused)
    ours = gradients(layers.widened_and_gated, x, widen, upstream)
    assert fused.call_count == 1
    plain = gradients(lambda x, widen: layers.gelu(widen(x)), x, widen, upstream)
    inputs = [x.requires_grad_(), *widen.parameters()]
    exact = layers.gelu(widen(x))
    right = [exact.detach(), *torch.autograd.grad(exact, inputs, upstream)]
    for one, other, wanted in zip(ours, plain, right, strict=True):
        # Both round to bf16; the one operation does so once less.
        assert (one - wanted).abs().max() <= 1.05 * (other - wanted).abs().max() + 1e-6
        assert (one - wanted).abs().max() < 0.02 * wanted.abs().max()


@pytest.mark.parametrize("why", ["fp32", "wide", "no oneDNN", "LoRA"])
def test_elsewhere_one_is_done_after_the_other(why, monkeypatch):
    monkeypatch.setattr(layers, "FUSED", None if why == "no oneDNN" else mock.Mock(side_effect=AssertionError))
    width = layers.FUSED_UP_TO + 16 if why == "wide" else 16
    widen = torch.nn.Linear(width, 4 * width)
    layer = LoraLinear(widen, rank=2, alpha=1.0) if why == "LoRA" else widen
    x = torch.randn(2, width)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=why != "fp32"):
        assert torch.equal(layers.widened_and_gated(x, layer), layers.gelu(layer(x)))
