"""The loss of next-token prediction: cross-entropy, summed, with the count beside it."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.fast_paths import compiled, taken

IGNORE_INDEX = -100  # targets that nothing is asked of
# Rows turned from scores to gradients at a time: small enough to stay in a CPU's cache.
ROWS_AT_ONCE = 512
# A GPU's matrix units want rows that begin at multiples of so many numbers; GPT-2's 50,257 scores are one too many.
GPU_WIDTHS = 64

# Turns scores into their own gradient, softmax - one_hot, and returns the loss; columns from the vocabulary's size on
# belong to no token. Shapes: scores (N, V or a few more), targets (N,), V -> scalar
ToGradient = Callable[[Tensor, Tensor, int], Tensor]


def token_loss(features: Tensor, head_weight: Tensor, targets: Tensor) -> Tensor:
    """Total surprise of the model at the right next tokens.

    The output head and the cross-entropy are one function, so that the largest tensor of the model, a score for every
    token and every word of the vocabulary, stands in memory once and becomes its own gradient in place.

    Shapes:  features (B, T, C), head_weight (V, C), targets (B, T) with IGNORE_INDEX where nothing is asked -> scalar
    Units:   nats, summed (not averaged: the caller divides once per optimizer step)
    Oracle:  reference.loss.token_loss
    """
    device_type = features.device.type
    flat, wanted = features.flatten(0, -2), targets.flatten()  # shape: (N, C), (N,)
    if device_type != "cuda":  # which would have to be waited for, to know how many are asked for
        asked = targets != IGNORE_INDEX
        if not asked.all():
            flat, wanted = features[asked], targets[asked]
    if not torch.is_grad_enabled() or not taken("fused_loss"):
        scores = F.linear(flat, head_weight).float()
        return F.cross_entropy(scores, wanted, ignore_index=IGNORE_INDEX, reduction="sum")
    if torch.is_autocast_enabled(device_type):
        dtype = torch.get_autocast_dtype(device_type)
        flat, head_weight = flat.to(dtype), head_weight.to(dtype)
    loss: Tensor = _HeadCrossEntropy.apply(flat, head_weight, wanted)
    return loss


class _HeadCrossEntropy(torch.autograd.Function):
    """Cross-entropy of `features @ weight^T`; the gradient of the scores overwrites the scores."""

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        on_gpu = features.device.type == "cuda"
        ctx.vocab_size = len(weight)
        with torch.autocast(features.device.type, enabled=False):
            if on_gpu and (missing := -len(weight) % GPU_WIDTHS):
                weight = F.pad(weight, (0, 0, 0, missing))
            scores = features @ weight.T
            if on_gpu and compiled():
                total = _compiled_at_once()(scores, targets, ctx.vocab_size)
            else:
                total = in_pieces(scores, targets, ctx.vocab_size, at_once if on_gpu else in_place)
        ctx.save_for_backward(features, weight, scores)
        return total

    @staticmethod
    def backward(ctx, upstream: Tensor):  # type: ignore[no-untyped-def]
        features, weight, gradient = ctx.saved_tensors
        with torch.autocast(features.device.type, enabled=False):
            scale = upstream.to(features.dtype)
            return (gradient @ weight) * scale, (gradient.T @ features)[: ctx.vocab_size] * scale, None


def in_pieces(scores: Tensor, targets: Tensor, vocab_size: int, to_gradient: ToGradient) -> Tensor:
    """`ToGradient`, some rows at a time, so that little is needed beside the scores."""
    total = torch.zeros((), dtype=_format_of_losses(scores), device=scores.device)
    for start in range(0, len(scores), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        total += to_gradient(scores[rows], targets[rows], vocab_size)
    return total


def in_place(scores: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    """`ToGradient` where every row has a target and every column a token, with the fewest tensors."""
    dtype, wanted = _format_of_losses(scores), targets[:, None]
    log_probabilities = scores.to(dtype).log_softmax(dim=1)
    total = -log_probabilities.gather(1, wanted).sum()
    scores.copy_(log_probabilities.exp_().scatter_add_(1, wanted, -torch.ones_like(wanted, dtype=dtype)))
    return total


def at_once(scores: Tensor, targets: Tensor, vocab_size: int) -> Tensor:
    """`ToGradient` that skips ignored targets, of operations that a compiler makes into few walks over the scores.

    Oracle:  `in_place`
    """
    columns = torch.arange(scores.shape[1], device=scores.device)
    known = scores.to(_format_of_losses(scores)).masked_fill(columns >= vocab_size, -torch.inf)
    log_probabilities = known.log_softmax(dim=1)
    is_target = columns == targets[:, None]
    total = -torch.where(is_target, log_probabilities, 0.0).sum()
    asked = (targets != IGNORE_INDEX)[:, None]
    scores.copy_((log_probabilities.exp() - is_target.to(log_probabilities.dtype)) * asked)
    return total


@functools.cache
def _compiled_at_once() -> ToGradient:
    function: ToGradient = torch.compile(at_once)
    return function


def _format_of_losses(scores: Tensor) -> torch.dtype:
    return torch.float64 if scores.dtype == torch.float64 else torch.float32
