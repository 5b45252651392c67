"""A GPT made ready to write: token by token it gives the scores that the model itself gives for the whole text.

One more token costs little computing: the time goes into fetching every weight once, and into what stands around the
products. So keys and values of what was read are kept; weights lie as oneDNN multiplies them fastest, in bf16 if asked
for; the gate and the sum of the shortcut are part of the products; and no module, gradient or view is made twice.

Shape letters: B batch, T new tokens, S tokens so far, C d_model, H heads, D d_head, V vocabulary.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.fast_paths import taken
from groundup.model.gpt import GPT, Block
from groundup.model.layers import LayerNorm, gelu

# Private operators of torch; where they are missing, or oneDNN is, the plain way is taken.
_MKLDNN = torch.ops.mkldnn if torch.backends.mkldnn.is_available() else None
PACK = getattr(_MKLDNN, "_reorder_linear_weight", None)
PACKED_PRODUCT = getattr(_MKLDNN, "_linear_pointwise", None)
# Narrower matrices in fp32 are as fast unpacked. In bf16 packed ones always win: 0.70 against 0.88 ms a token at 192.
PACKED_FROM_WIDTH = {torch.float32: 384, torch.bfloat16: 1}
# Packing GPT-2 of 124 million takes 0.2 s, and saves about 15 ms for each token of sixteen texts, or 6 ms in bf16.
PACKED_FROM_TOKENS = 16
# Torch's own fp32 product is MKL's, which on Intel's processors is the faster one for a few texts: a token of GPT-2
# takes 24 ms against 32 with one text, 28 against 33 with two, but 51 against 36 with four. On AMD's it computes a
# single row with one thread, and packed weights write 40 tokens a second against 22.
PACKED_FROM_TEXTS = {"intel": 4, "other": 1}


class KeyValueCache:
    """Keys and values of the tokens already read, for every layer, in memory taken once.

    Shapes:  keys, values (n_layers, B, H, capacity, D)
    """

    def __init__(
        self,
        n_layers: int,
        batch_size: int,
        n_heads: int,
        capacity: int,
        d_head: int,
        *,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        shape = (n_layers, batch_size, n_heads, capacity, d_head)
        # Memory that no token has reached yet is neither set nor read, so that it costs nothing.
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)
        self.capacity = capacity
        self.length = 0

    def extended(self, n_tokens: int) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """Room for more tokens: for each layer, where their keys and values go, and all so far with that room.

        Shapes:  -> keys and values (B, H, n_tokens, D), then (B, H, S, D)
        """
        start, end = self.length, self.length + n_tokens
        assert end <= self.capacity, "the cache was made too small for the tokens asked of it"
        self.length = end
        keys, values = self.keys[:, :, :, :end], self.values[:, :, :, :end]
        # One view of all layers, cut up, takes less time than a view for each layer.
        return zip(
            keys[:, :, :, start:].unbind(),
            values[:, :, :, start:].unbind(),
            keys.unbind(),
            values.unbind(),
            strict=True,
        )

    def keep_rows(self, order: Sequence[int]) -> None:
        """Drop the sequences that are finished.

        Args:
            order: which sequence stands at each place from now on; one that moves comes from behind the new end.
        """
        moved = [(place, source) for place, source in enumerate(order) if place != source]
        assert all(source >= len(order) for _, source in moved), "a sequence would be overwritten before it is moved"
        for part in (self.keys, self.values):
            for place, source in moved:
                part[:, place, :, : self.length] = part[:, source, :, : self.length]
        self.keys, self.values = self.keys[:, : len(order)], self.values[:, : len(order)]


class _Linear(Protocol):
    """A linear layer with what follows it. Shapes: (..., in) -> (..., out)"""

    def of(self, x: Tensor) -> Tensor: ...

    def gated(self, x: Tensor) -> Tensor:
        """Then GELU."""

    def added(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """Then the sum with what was there."""


class _Plain:
    def __init__(self, layer: Callable[[Tensor], Tensor]) -> None:
        self.of = layer

    def gated(self, x: Tensor) -> Tensor:
        return gelu(self.of(x))

    def added(self, x: Tensor, shortcut: Tensor) -> Tensor:
        return shortcut + self.of(x)


class _Packed:
    """Oracle: `_Plain`"""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        assert PACK is not None
        assert PACKED_PRODUCT is not None
        self.weight, self.bias = PACK(weight), bias
        self.product, self.product_and_sum = PACKED_PRODUCT.default, PACKED_PRODUCT.binary

    def of(self, x: Tensor) -> Tensor:
        return self.product(x, self.weight, self.bias, "none", [], "")

    def gated(self, x: Tensor) -> Tensor:
        return self.product(x, self.weight, self.bias, "gelu", [], "tanh")

    def added(self, x: Tensor, shortcut: Tensor) -> Tensor:
        return self.product_and_sum(x, shortcut, self.weight, self.bias, "add")


def worth_packing(model: GPT, dtype: torch.dtype, n_texts: int, max_new_tokens: int) -> bool:
    """Whether packed weights save more time than packing them takes, where they can be packed at all."""
    can = PACK is not None and PACKED_PRODUCT is not None and model.device.type == "cpu" and taken("packed_weights")
    if not can or dtype not in PACKED_FROM_WIDTH:
        return False
    texts = PACKED_FROM_TEXTS[_processor()] if dtype == torch.float32 else 1
    return (
        model.config.d_model >= PACKED_FROM_WIDTH[dtype] and n_texts >= texts and max_new_tokens >= PACKED_FROM_TOKENS
    )


@functools.cache
def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    return "intel" if facts.exists() and "GenuineIntel" in facts.read_text(encoding="utf-8") else "other"


class InferenceGPT:
    """A GPT's weights, laid out for writing. They are those of the moment it is made: make a new one after a step.

    Oracle:  `GPT.features` of the whole text, and its head
    """

    def __init__(self, model: GPT, dtype: torch.dtype, *, packed: bool) -> None:
        self.config, self.device, self.dtype = model.config, model.device, dtype
        self.token_embedding, self.position_embedding = model.token_embedding.weight, model.position_embedding.weight
        self.blocks = [_InferenceBlock(block, dtype, packed) for block in model.blocks]
        self.final_norm = _norm(model.final_norm, dtype)
        self.head = _weights(model.head_weight, None, dtype, packed)

    def new_cache(self, batch_size: int, capacity: int) -> KeyValueCache:
        """An empty cache for `batch_size` sequences of up to `capacity` tokens."""
        n_layers, n_heads = self.config.n_layers, self.config.n_heads
        d_head = self.config.d_model // n_heads
        return KeyValueCache(n_layers, batch_size, n_heads, capacity, d_head, device=self.device, dtype=self.dtype)

    def next_scores(self, input_ids: Tensor, positions: Tensor, cache: KeyValueCache, mask: Tensor | None) -> Tensor:
        """Scores for the token after the last one; keys and values of those given are added to the cache.

        Args:
            mask: zero where a query may look and -inf elsewhere, in the format of the products; None means causal.
        Shapes:  input_ids and positions (B, T), mask broadcast to (B, H, T, S) -> (B, V)
        """
        assert cache.length == 0 or input_ids.shape[1] == 1 or mask is not None, (
            "several tokens after others need a mask"
        )
        # The sum is rounded, not its parts.
        x = (F.embedding(input_ids, self.token_embedding) + F.embedding(positions, self.position_embedding)).to(
            self.dtype
        )
        for block, (new_keys, new_values, keys, values) in zip(
            self.blocks, cache.extended(input_ids.shape[1]), strict=True
        ):
            x = block(x, new_keys, new_values, keys, values, mask)
        return self.head.of(self.final_norm(x[:, -1]))


class _InferenceBlock:
    """Oracle: `gpt.Block`"""

    def __init__(self, block: nn.Module, dtype: torch.dtype, packed: bool) -> None:
        assert isinstance(block, Block)
        self.n_heads = block.attention.n_heads
        self.attention_norm, self.feed_forward_norm = (
            _norm(norm, dtype) for norm in (block.attention_norm, block.feed_forward_norm)
        )
        self.query_key_value, self.project, self.widen, self.narrow = (
            _linear(layer, dtype, packed)
            for layer in (
                block.attention.query_key_value,
                block.attention.project,
                block.feed_forward.widen,
                block.feed_forward.narrow,
            )
        )

    def __call__(
        self, x: Tensor, new_keys: Tensor, new_values: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None
    ) -> Tensor:
        batch, tokens, d_model = x.shape
        together = self.query_key_value.of(self.attention_norm(x))  # shape: (B, T, 3C)
        # shape: (B, T, 3C) -> three of (B, H, T, D)
        q, k, v = together.view(batch, tokens, 3, self.n_heads, d_model // self.n_heads).permute(2, 0, 3, 1, 4).unbind()
        new_keys.copy_(k)
        new_values.copy_(v)
        causal = mask is None and tokens > 1
        context = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask, is_causal=causal)
        # shape: (B, H, T, D) -> (B, T, C), the heads side by side again
        x = self.project.added(context.transpose(1, 2).reshape(batch, tokens, d_model), x)
        return self.narrow.added(self.widen.gated(self.feed_forward_norm(x)), x)


def _norm(norm: LayerNorm, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    bias = None if norm.bias is None else norm.bias.to(dtype)
    return partial(F.layer_norm, normalized_shape=norm.weight.shape, weight=norm.weight.to(dtype), bias=bias, eps=1e-5)


def _linear(layer: nn.Module, dtype: torch.dtype, packed: bool) -> _Linear:
    if isinstance(layer, nn.Linear):
        return _weights(layer.weight, layer.bias, dtype, packed)
    return _Plain(copy.deepcopy(layer).to(dtype))  # such as one with a low-rank change beside it


def _weights(weight: Tensor, bias: Tensor | None, dtype: torch.dtype, packed: bool) -> _Linear:
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    return _Packed(weight, bias) if packed else _Plain(partial(F.linear, weight=weight, bias=bias))
