"""The small parts of a transformer block, as their formulas stand in the papers.

Source: the book's chapter 4.
"""

import math

import torch
from torch import Tensor


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor | None, eps: float = 1e-5) -> Tensor:
    """Each token's features shifted to mean 0 and scaled to variance 1, then scaled and shifted as learned.

    Shapes:  x (..., C), weight and bias (C,) -> (..., C)
    Source:  Ba et al. 2016, "Layer Normalization"; the book's section 4.2
    """
    n_features = x.shape[-1]
    mean = x.sum(dim=-1, keepdim=True) / n_features
    # Divided by C, not by C - 1: the variance of these features themselves, not a guess at that of more like them.
    variance = ((x - mean) ** 2).sum(dim=-1, keepdim=True) / n_features
    normal = (x - mean) / torch.sqrt(variance + eps)  # eps: features that are all equal must not divide by zero
    scaled = normal * weight
    return scaled if bias is None else scaled + bias


def gelu(x: Tensor) -> Tensor:
    """A gate that lets large values through and holds negative ones back, without a corner at zero.

    The exact gate is x times the probability that a standard normal number is below x; GPT-2 uses this tanh form of it.

    Shapes:  any -> the same
    Source:  Hendrycks & Gimpel 2016, "Gaussian Error Linear Units"; the book's section 4.3
    """
    inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1.0 + torch.tanh(inner))


def feed_forward(
    x: Tensor, widen_weight: Tensor, widen_bias: Tensor | None, narrow_weight: Tensor, narrow_bias: Tensor | None
) -> Tensor:
    """Widen, gate, narrow: each token thinks by itself.

    Shapes:  x (..., C), weights (4C, C) and (C, 4C), biases (4C,) and (C,) -> (..., C)
    Source:  the book's section 4.3
    """
    wide = x @ widen_weight.T  # shape: (..., 4C)
    if widen_bias is not None:
        wide = wide + widen_bias
    narrow = gelu(wide) @ narrow_weight.T
    return narrow if narrow_bias is None else narrow + narrow_bias
