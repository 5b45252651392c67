"""Attention in the order in which one learns it, each step the one before plus one idea.

1. `simple_attention`: a token's new meaning is an average of all tokens, the like ones weighing most.
2. `self_attention`: what a token asks, offers and gives are three learned views of it.
3. `causal_attention`: nobody looks ahead; a dropped weight now and then keeps the model from leaning on one token.
4. `multi_head_attention`: several such views side by side.

Source: the book's chapter 3; Vaswani et al. 2017, "Attention Is All You Need".

Shape letters: B batch, T tokens (queries), S tokens (keys), C d_model, H heads, D d_head.
"""

import math

import torch
from torch import Tensor


def dot(a: Tensor, b: Tensor) -> Tensor:
    """How alike two vectors are: the sum of the products of their features.

    Shapes:  (D,), (D,) -> scalar
    """
    return sum((a[i] * b[i] for i in range(len(a))), a.new_zeros(()))


def softmax(scores: list[Tensor]) -> list[Tensor]:
    """Scores as shares that add up to 1; a score of -inf gets none.

    Shapes:  n scalars -> n scalars
    """
    largest = torch.stack(scores).max()  # taken off every score: the shares stay the same, and exp never overflows
    powers = [torch.exp(score - largest) for score in scores]
    total = sum(powers, torch.zeros_like(largest))
    return [power / total for power in powers]


def weighted_sum(weights: list[Tensor], vectors: Tensor) -> Tensor:
    """The vectors added up, each as much as its weight says.

    Shapes:  n scalars, (n, D) -> (D,)
    """
    return sum((weight * vectors[i] for i, weight in enumerate(weights)), torch.zeros_like(vectors[0]))


def simple_attention(x: Tensor) -> Tensor:
    """Attention with nothing to learn: every token becomes an average of all, by likeness to itself.

    Shapes:  (T, C) -> (T, C)
    Source:  the book's section 3.3
    """
    contexts = []
    for query in x:
        scores = [dot(query, key) for key in x]
        contexts.append(weighted_sum(softmax(scores), x))
    return torch.stack(contexts)


def self_attention(x: Tensor, to_query: Tensor, to_key: Tensor, to_value: Tensor) -> Tensor:
    """Attention with three trainable matrices: what each token asks (query), offers (key) and gives (value).

    Shapes:  x (T, C), matrices (C, D) -> (T, D)
    Source:  the book's section 3.4
    """
    queries, keys, values = x @ to_query, x @ to_key, x @ to_value  # shape: (T, D) each
    contexts = []
    for query in queries:
        # A dot product of D features grows like sqrt(D); unscaled, softmax would give all to one token.
        scores = [dot(query, key) / math.sqrt(len(query)) for key in keys]
        contexts.append(weighted_sum(softmax(scores), values))
    return torch.stack(contexts)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Attention of each query to the keys it may see: the score of every other key becomes -inf, its weight 0.

    Args:
        mask: True where a query may look; None means causal: the last query is the last key's token and sees all
            keys, the query before it all but the last, and so on.
        dropout: share of weights set to zero; the others grow, so that the expected sum stays.
    Shapes:  q (B, H, T, D), k and v (B, H, S, D), mask broadcast to (B, H, T, S) -> (B, H, T, D)
    Source:  the book's section 3.5
    """
    batch, heads, n_queries, d_head = q.shape
    n_keys = k.shape[2]
    if mask is None:
        earlier = n_keys - n_queries  # keys of tokens that stand before the first query
        mask = torch.tensor([[key <= earlier + query for key in range(n_keys)] for query in range(n_queries)])
    mask = mask.expand(batch, heads, n_queries, n_keys)

    context = torch.zeros_like(q)
    for b in range(batch):
        for h in range(heads):
            rows = []
            for t in range(n_queries):
                scores = [
                    dot(q[b, h, t], k[b, h, s]) / math.sqrt(d_head) if mask[b, h, t, s] else q.new_tensor(-torch.inf)
                    for s in range(n_keys)
                ]
                weights = [drop(weight, dropout) for weight in softmax(scores)]
                rows.append(weighted_sum(weights, v[b, h]))
            context[b, h] = torch.stack(rows)
    return context


def drop(weight: Tensor, dropout: float) -> Tensor:
    """The weight set to zero with probability `dropout`, else made up for those that are.

    Shapes:  scalar -> scalar
    """
    if dropout == 0.0:
        return weight
    return weight / (1.0 - dropout) if float(torch.rand(())) >= dropout else weight * 0.0


def multi_head_attention(
    x: Tensor,
    query_key_value_weight: Tensor,
    query_key_value_bias: Tensor | None,
    project_weight: Tensor,
    project_bias: Tensor | None,
    n_heads: int,
    mask: Tensor | None = None,
) -> Tensor:
    """Each head attends on its own slice of the features; a last matrix mixes what the heads found.

    The weights are those of `CausalSelfAttention`: rows of the first make all queries, then all keys, then all values.

    Shapes:  x (B, T, C), weights (3C, C) and (C, C), biases (3C,) and (C,) -> (B, T, C)
    Source:  the book's section 3.6
    """
    d_model = x.shape[2]
    d_head = d_model // n_heads
    heads = []
    for head in range(n_heads):
        views = []
        for part in range(3):  # query, key, value
            first = part * d_model + head * d_head
            view = x @ query_key_value_weight[first : first + d_head].T  # shape: (B, T, D)
            if query_key_value_bias is not None:
                view = view + query_key_value_bias[first : first + d_head]
            views.append(view[:, None])  # shape: (B, 1, T, D), a single head
        q, k, v = views
        heads.append(causal_attention(q, k, v, mask, dropout=0.0)[:, 0])
    mixed = torch.cat(heads, dim=2) @ project_weight.T  # shape: H of (B, T, D) -> (B, T, C)
    return mixed if project_bias is None else mixed + project_bias
