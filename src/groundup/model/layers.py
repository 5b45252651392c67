"""The parts of a transformer block that look at one token at a time.

Shape letters, here and in every file: B batch, T tokens, C d_model, H heads, D d_head, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.fast_paths import taken


class LayerNorm(nn.Module):
    """Each token's features shifted to mean 0 and scaled to variance 1, then scaled and shifted as learned.

    Shapes:  (..., C) -> (..., C)
    Oracle:  reference.layers.layer_norm
    Source:  Ba et al. 2016, "Layer Normalization"; the book's chapter 4
    """

    def __init__(self, d_model: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.bias = nn.Parameter(torch.zeros(d_model)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.weight.shape, self.weight, self.bias, eps=1e-5)


def gelu(x: Tensor) -> Tensor:
    """The smooth gate of GPT-2, in its tanh form.

    Oracle:  reference.layers.gelu
    Source:  Hendrycks & Gimpel 2016, "Gaussian Error Linear Units"; the book's chapter 4
    """
    return F.gelu(x, approximate="tanh")


LEVELS = 1 << 16  # a share is met to the nearest of these


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """In training a share of the numbers set to zero, and the others made larger, so that their expected sum stays.

    On a CPU torch draws one random number for each of them, which takes as long as the matrix products around it. Four
    of 16 bits fit into one draw, which is as good to decide by.

    Oracle:  torch.nn.functional.dropout
    Source:  Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting"; the book's
        chapter 3
    """
    if not training or share == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, share)
    drawn = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None)
    levels = drawn.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = min(round(share * LEVELS), LEVELS - 1)
    return x * (levels >= dropped - LEVELS // 2).to(x.dtype).mul_(LEVELS / (LEVELS - dropped))


class Dropout(nn.Dropout):
    """`dropout` as a layer."""

    def forward(self, input: Tensor) -> Tensor:
        return dropout(input, self.p, self.training)


class FeedForward(nn.Module):
    """What a token does with what attention gathered: widen four times, gate, narrow again.

    Shapes:  (B, T, C) -> (B, T, C)
    Source:  the book's chapter 4
    """

    def __init__(self, d_model: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.widen = nn.Linear(d_model, 4 * d_model, bias=bias)
        self.narrow = nn.Linear(4 * d_model, d_model, bias=bias)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.narrow(widened_and_gated(x, self.widen)))


# Up to this many features it pays to widen twice: 1.20 times as fast as the plain way at 192, 1.06 at 384, 0.98 at 768.
FUSED_UP_TO = 512
# A private operator of torch; where there is none, or no oneDNN, the plain way is taken.
FUSED = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def widened_and_gated(x: Tensor, widen: nn.Module) -> Tensor:
    """`gelu(widen(x))`, as one operation where that is faster.

    In bf16 on a CPU torch's GELU takes three times as long as the product before it; there both are one operation of
    oneDNN, and what stood before the gate is computed again on the way back.

    Shapes:  (B, T, C) -> (B, T, 4C)
    Oracle:  `gelu(widen(x))`
    """
    if not (
        torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and x.device.type == "cpu"
        and isinstance(widen, nn.Linear)
        and widen.in_features <= FUSED_UP_TO
        and FUSED is not None
        and taken("fused_gate")
        and not torch.compiler.is_compiling()  # which fuses both itself, and does not know this operator
    ):
        return gelu(widen(x))
    weight, bias = widen.weight.bfloat16(), None if widen.bias is None else widen.bias.bfloat16()
    gated: Tensor = _WidenAndGate.apply(x.bfloat16(), weight, bias)
    return gated


class _WidenAndGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x, weight, bias)
        assert FUSED is not None
        gated: Tensor = FUSED(x, weight, bias, "gelu", [], "tanh")
        return gated

    @staticmethod
    def backward(ctx, upstream: Tensor):  # type: ignore[no-untyped-def]
        x, weight, bias = ctx.saved_tensors
        with torch.autocast("cpu", enabled=False):
            wide = F.linear(x, weight, bias)
            gradient = torch.ops.aten.gelu_backward(upstream, wide, approximate="tanh").flatten(0, -2)
            to_x = (gradient @ weight).view_as(x) if ctx.needs_input_grad[0] else None
            to_weight = gradient.T @ x.flatten(0, -2) if ctx.needs_input_grad[1] else None
            to_bias = gradient.sum(0) if bias is not None and ctx.needs_input_grad[2] else None
        return to_x, to_weight, to_bias
