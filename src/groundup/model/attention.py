"""Causal multi-head self-attention.

Shape letters: B batch, T tokens (queries), S tokens (keys), C d_model, H heads, D d_head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.fast_paths import taken
from groundup.model.layers import Dropout
from groundup.model.layers import dropout as drop

# Up to this many tokens, bf16 on a CPU trains faster through two plain batched products than through torch's flash
# path, which gains nothing from bf16 there: 33 against 64 ms at 256, 161 against 204 at 512, 321 against 248 at 1024.
PLAIN_ATTENTION_UP_TO = 768


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Context vectors: each query's weighted average of the values, weights = softmax(q @ k^T / sqrt(D)).

    Args:
        mask: True where a query may look; None means causal, each token sees itself and what came before.
        dropout: share of weights set to zero, in training.
    Shapes:  q (B, H, T, D), k and v (B, H, S, D), mask broadcast to (B, H, T, S) -> (B, H, T, D)
    Oracle:  reference.attention.causal_attention
    Source:  Vaswani et al. 2017, "Attention Is All You Need"; the book's chapter 3
    """
    n_queries, n_keys = q.shape[2], k.shape[2]
    suits = q.device.type == "cpu" and q.dtype == torch.bfloat16 and n_keys <= PLAIN_ATTENTION_UP_TO
    plain = suits and taken("plain_attention")
    assert mask is not None or n_queries in (1, n_keys), "which key a query may look at last would be unclear"
    if not plain:
        causal = mask is None and n_queries > 1
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=causal)
    if mask is None:
        mask = torch.ones(n_queries, n_keys, dtype=torch.bool, device=q.device).tril(n_keys - n_queries)
    blocked = torch.zeros(mask.shape, dtype=q.dtype, device=q.device).masked_fill(~mask, -torch.inf)
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1) + blocked  # shape: (B, H, T, S)
    weights = drop(scores.softmax(dim=-1), dropout, training=True)
    return weights @ v


class CausalSelfAttention(nn.Module):
    """Every token asks (query), offers (key) and gives (value); the heads do so side by side.

    Shapes:  (B, T, C) -> (B, T, C)
    Oracle:  reference.attention.multi_head_attention
    """

    def __init__(self, d_model: int, n_heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = nn.Linear(d_model, 3 * d_model, bias=bias)
        self.project = nn.Linear(d_model, d_model, bias=bias)
        self.weight_dropout = dropout
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        batch, tokens, d_model = x.shape
        # shape: (B, T, 3C) -> three of (B, H, T, D)
        q, k, v = (
            part.view(batch, tokens, self.n_heads, d_model // self.n_heads).transpose(1, 2)
            for part in self.query_key_value(x).split(d_model, dim=2)
        )
        context = attend(q, k, v, mask, self.weight_dropout if self.training else 0.0)
        # shape: (B, H, T, D) -> (B, T, C), the heads side by side again
        context = context.transpose(1, 2).reshape(batch, tokens, d_model)
        return self.dropout(self.project(context))

    def of_last(self, x: Tensor, rows: Tensor, last: Tensor) -> Tensor:
        """The same for one token of each text, which looks at itself and at what came before.

        Shapes:  x (B, T, C), rows and last (B,) -> (B, C)
        """
        batch, tokens, d_model = x.shape
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        parts, heads = (d_model, 2 * d_model), (self.n_heads, d_model // self.n_heads)
        for_query, for_others = weight.split(parts)
        of_query, of_others = (None, None) if bias is None else bias.split(parts)
        q = F.linear(x[rows, last], for_query, of_query).view(batch, 1, *heads).transpose(1, 2)
        others = F.linear(x, for_others, of_others).split(d_model, dim=2)
        k, v = (part.view(batch, tokens, *heads).transpose(1, 2) for part in others)
        seen = torch.arange(tokens, device=x.device) <= last[:, None]  # shape: (B, T)
        context = attend(q, k, v, seen[:, None, None], self.weight_dropout if self.training else 0.0)
        with torch.autocast(x.device.type, enabled=False):
            context = context.transpose(1, 2).reshape(batch, d_model).to(weight.dtype)
            out: Tensor = self.dropout(self.project(context))
        return out
