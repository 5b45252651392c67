"""The loss of next-token prediction: cross-entropy, summed, with the count beside it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from groundup.fast_paths import taken

IGNORE_INDEX = -100  # targets that nothing is asked of


def token_loss(features: Tensor, head_weight: Tensor, targets: Tensor) -> Tensor:
    """Total surprise of the model at the right next tokens.

    The output head and the cross-entropy are one function, so that the largest tensor of the model, a score for every
    token and every word of the vocabulary, stands in memory once and becomes its own gradient in place.

    Shapes:  features (B, T, C), head_weight (V, C), targets (B, T) with IGNORE_INDEX where nothing is asked -> scalar
    Units:   nats, summed (not averaged: the caller divides once per optimizer step)
    Oracle:  reference.loss.token_loss
    """
    asked = targets != IGNORE_INDEX
    flat, wanted = features.flatten(0, -2), targets.flatten()  # shape: (N, C), (N,)
    if not asked.all():
        flat, wanted = features[asked], targets[asked]
    if not torch.is_grad_enabled() or not taken("fused_loss"):
        return F.cross_entropy(F.linear(flat, head_weight).float(), wanted, reduction="sum")
    device_type = features.device.type
    if torch.is_autocast_enabled(device_type):
        dtype = torch.get_autocast_dtype(device_type)
        flat, head_weight = flat.to(dtype), head_weight.to(dtype)
    loss: Tensor = _HeadCrossEntropy.apply(flat, head_weight, wanted)
    return loss


class _HeadCrossEntropy(torch.autograd.Function):
    """Cross-entropy of `features @ weight^T`; the gradient of the scores, softmax - one_hot, overwrites the scores."""

    @staticmethod
    def forward(ctx, features: Tensor, weight: Tensor, targets: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        with torch.autocast(features.device.type, enabled=False):
            scores = features @ weight.T  # shape: (N, V)
            total = torch.zeros(
                (), dtype=torch.float64 if scores.dtype == torch.float64 else torch.float32, device=scores.device
            )
            for start in range(0, len(scores), ROWS_AT_ONCE):
                rows = scores[start : start + ROWS_AT_ONCE]
                wanted = targets[start : start + ROWS_AT_ONCE, None]
                log_probabilities = rows.to(total.dtype).log_softmax(dim=1)
                total -= log_probabilities.gather(1, wanted).sum()
                rows.copy_(
                    log_probabilities.exp_().scatter_add_(1, wanted, -torch.ones_like(wanted, dtype=total.dtype))
                )
        ctx.save_for_backward(features, weight, scores)
        return total

    @staticmethod
    def backward(ctx, upstream: Tensor):  # type: ignore[no-untyped-def]
        features, weight, gradient = ctx.saved_tensors
        with torch.autocast(features.device.type, enabled=False):
            scale = upstream.to(features.dtype)
            return (gradient @ weight) * scale, (gradient.T @ features) * scale, None


ROWS_AT_ONCE = 512  # rows turned from scores to gradients at a time: small enough to stay in the cache
