"""A GPT made ready to write: token by token it gives the scores that the model itself gives for the whole text.

One more token costs little computing: the time goes into fetching every weight once, and into what stands around the
products. So keys and values of what was read are kept; weights lie as oneDNN multiplies them fastest, in bf16 if asked
for; the gate and the sum of the shortcut are part of the products; and no module, gradient or view is made twice. A
layout in 8 bits only guesses what the weights would write.

Shape letters: B batch, T new tokens, S tokens so far, C d_model, H heads, D d_head, V vocabulary.
"""

import copy
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

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
# Narrower matrices in fp32 are faster unpacked. In bf16 packed ones always win: 0.70 against 0.88 ms a token at 192.
PACKED_FROM_WIDTH = {torch.float32: 384, torch.bfloat16: 1}
# Packing GPT-2 of 124 million takes 0.2 s, and saves about 15 ms for each token of sixteen texts, or 6 ms in bf16.
PACKED_FROM_TOKENS = 16
# Torch's own fp32 product is MKL's, which on Intel's processors is the faster one for a few texts: a token of GPT-2
# takes 24 ms against 32 with one text, 28 against 33 with two, but 51 against 36 with four. On AMD's it computes a
# single row with one thread, and packed weights write 40 tokens a second against 22.
PACKED_FROM_TEXTS = {"intel": 4, "other": 1}
# Narrow matrices in fp32 are multiplied faster by several rows when the weights of an input lie side by side: a token
# of the default's sixteen texts takes 1.02 ms for 1.09. With one text it takes 0.48 for 0.42.
TRANSPOSED_FROM_TEXTS = 4

# Torch means to remove its quantized tensors; without them nothing is guessed.
_QUANTIZED = getattr(torch, "_make_per_channel_quantized_tensor", None)
PRODUCT_IN_8_BITS = getattr(torch.ops.quantized, "linear_dynamic", None)
PACK_IN_8_BITS = getattr(torch.ops.quantized, "linear_prepack", None)
ENGINES_IN_8_BITS = {"x86", "fbgemm"}
# Guesses save time by reading fewer bytes: a token takes 12 ms for 19 at 124 million weights in fp32, 4.9 for 8.7 at 51
# million and 3.2 for 4.3 at 30 million, but 2.1 for 1.8 at 14 million, where what stands around the products counts.
GUESSED_FROM_WEIGHTS = 25_000_000
# To lay out 124 million weights in 8 bits takes 0.8 s, and a token then 6 ms less in fp32 and 4 in bf16.
GUESSED_FROM_TOKENS = 256

Layout = Literal["plain", "transposed", "packed", "8 bits"]


class KeyValueCache:
    """Keys and values of the tokens already read, for every layer, in memory taken once.

    Shapes:  kept (n_layers, 2, B, H, capacity, D), keys before values
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
        shape = (n_layers, 2, batch_size, n_heads, capacity, d_head)
        # Memory that no token has reached yet is neither set nor read, so that it costs nothing.
        self.kept = torch.empty(shape, device=device, dtype=dtype)
        self.capacity = capacity
        self.length = 0

    def extended(self, n_tokens: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Room for more tokens: for each layer, where their keys and values go, and the keys and values with that room.

        Shapes:  -> (2, B, H, n_tokens, D), then twice (B, H, S, D)
        """
        start, end = self.length, self.length + n_tokens
        assert end <= self.capacity, "the cache was made too small for the tokens asked of it"
        self.length = end
        kept = self.kept[:, :, :, :, :end]
        # One view of all layers, cut up, takes less time than a view for each layer.
        return zip(kept[:, :, :, :, start:].unbind(), kept[:, 0].unbind(), kept[:, 1].unbind(), strict=True)

    def forget(self, n_tokens: int) -> None:
        """The newest tokens were not the right ones."""
        assert n_tokens <= self.length, "more was to be forgotten than was read"
        self.length -= n_tokens

    def keep_rows(self, order: Sequence[int]) -> None:
        """Drop the sequences that are finished.

        Args:
            order: which sequence stands at each place from now on; one that moves comes from behind the new end.
        """
        moved = [(place, source) for place, source in enumerate(order) if place != source]
        assert all(source >= len(order) for _, source in moved), "a sequence would be overwritten before it is moved"
        for place, source in moved:
            self.kept[:, :, place, :, : self.length] = self.kept[:, :, source, :, : self.length]
        self.kept = self.kept[:, :, : len(order)]


class _Linear(Protocol):
    """A linear layer with what follows it. Shapes: (N, in) -> (N, out)"""

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
        return self.of(x).add_(shortcut)


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


def _in_8_bits(weight: Tensor, bias: Tensor | None) -> _Plain:
    """Weights in 8 bits with a scale for each output; what is multiplied by them is rounded to 8 bits too.

    Oracle: `_Plain`, but for the rounding
    """
    assert _QUANTIZED is not None
    assert PACK_IN_8_BITS is not None
    assert PRODUCT_IN_8_BITS is not None
    step = weight.abs().amax(dim=1).clamp_(min=torch.finfo(torch.float32).tiny).div_(127)
    rounded = (weight / step[:, None]).round_().char()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this will be removed
        quantized = _QUANTIZED(rounded, step.double(), torch.zeros(len(step)).long(), 0)
    return _Plain(partial(PRODUCT_IN_8_BITS.default, W_prepack=PACK_IN_8_BITS(quantized, bias)))


def best_layout(model: GPT, dtype: torch.dtype, n_texts: int, n_tokens: float) -> Layout:
    """The layout of exact weights in which so many texts are written soonest, where it can be had."""
    if model.device.type != "cpu" or dtype not in PACKED_FROM_WIDTH or not taken("packed_weights"):
        return "plain"
    if n_tokens < PACKED_FROM_TOKENS:
        return "plain"
    if model.config.d_model < PACKED_FROM_WIDTH[dtype]:
        return "transposed" if n_texts >= TRANSPOSED_FROM_TEXTS else "plain"
    can = PACK is not None and PACKED_PRODUCT is not None
    from_texts = PACKED_FROM_TEXTS[_processor()] if dtype == torch.float32 else 1
    return "packed" if can and n_texts >= from_texts else "plain"


def worth_guessing(model: GPT, dtype: torch.dtype, n_texts: int, n_tokens: float) -> bool:
    """Whether guesses in 8 bits save more time than laying out the weights for them takes, where they can be made."""
    can = (
        None not in (_QUANTIZED, PACK_IN_8_BITS, PRODUCT_IN_8_BITS) and model.device.type == "cpu" and taken("guesses")
    )
    if not can or dtype not in PACKED_FROM_WIDTH or torch.backends.quantized.engine not in ENGINES_IN_8_BITS:
        return False
    n_weights = sum(parameter.numel() for parameter in model.parameters())
    return n_texts == 1 and n_weights >= GUESSED_FROM_WEIGHTS and n_tokens >= GUESSED_FROM_TOKENS


@functools.cache
def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    return "intel" if facts.exists() and "GenuineIntel" in facts.read_text(encoding="utf-8") else "other"


class InferenceGPT:
    """A GPT's weights, laid out for writing. They are those of the moment it is made: make a new one after a step.

    Oracle:  `GPT.features` of the whole text, and its head
    """

    def __init__(self, model: GPT, dtype: torch.dtype, layout: Layout) -> None:
        self.config, self.device, self.dtype = model.config, model.device, dtype
        self.token_embedding, self.position_embedding = model.token_embedding.weight, model.position_embedding.weight
        self.blocks = [_InferenceBlock(block, dtype, layout) for block in model.blocks]
        self.final_norm = _norm(model.final_norm, dtype)
        self.head = _weights(model.head_weight, None, dtype, layout)

    def new_cache(self, batch_size: int, capacity: int) -> KeyValueCache:
        """An empty cache for `batch_size` sequences of up to `capacity` tokens."""
        n_layers, n_heads = self.config.n_layers, self.config.n_heads
        d_head = self.config.d_model // n_heads
        return KeyValueCache(n_layers, batch_size, n_heads, capacity, d_head, device=self.device, dtype=self.dtype)

    def next_scores(
        self, input_ids: Tensor, positions: Tensor | None, cache: KeyValueCache, mask: Tensor | None
    ) -> Tensor:
        """Scores for the token after the last one; keys and values of those given are added to the cache.

        Args:
            positions: None means that they go on from those in the cache.
            mask: zero where a query may look and -inf elsewhere, in the format of the products; None means causal.
        Shapes:  input_ids and positions (B, T), mask broadcast to (B, H, T, S) -> (B, V)
        """
        x = self._read(input_ids, positions, cache, mask)
        return self.head.of(self.final_norm(x.view(*input_ids.shape, -1)[:, -1]))

    def scores_after_each(self, input_ids: Tensor, cache: KeyValueCache) -> Tensor:
        """Scores for the token after each of several that follow those in the cache; of one text.

        Shapes:  input_ids (1, T) -> (T, V)
        """
        tokens = input_ids.shape[1]
        mask = torch.zeros(tokens, cache.length + tokens, device=self.device, dtype=cache.kept.dtype)
        mask[:, cache.length :] = torch.full((tokens, tokens), -torch.inf, device=self.device).triu_(1)
        return self.head.of(self.final_norm(self._read(input_ids, None, cache, mask)))

    def _read(self, input_ids: Tensor, positions: Tensor | None, cache: KeyValueCache, mask: Tensor | None) -> Tensor:
        """Shapes: -> (B T, C)"""
        tokens = input_ids.shape[1]
        assert cache.length == 0 or tokens == 1 or mask is not None, "several tokens after others need a mask"
        if positions is None:
            at = self.position_embedding[cache.length : cache.length + tokens]
        else:
            at = torch.embedding(self.position_embedding, positions)
        # The sum is rounded, not its parts.
        x = (torch.embedding(self.token_embedding, input_ids) + at).to(self.dtype).flatten(0, 1)
        for block, (new, keys, values) in zip(self.blocks, cache.extended(tokens), strict=True):
            x = block(x, new, keys, values, mask)
        return x


class _InferenceBlock:
    """Oracle: `gpt.Block`"""

    def __init__(self, block: nn.Module, dtype: torch.dtype, layout: Layout) -> None:
        assert isinstance(block, Block)
        self.attention_norm, self.feed_forward_norm = (
            _norm(norm, dtype) for norm in (block.attention_norm, block.feed_forward_norm)
        )
        self.query_key_value, self.project, self.widen, self.narrow = (
            _linear(layer, dtype, layout)
            for layer in (
                block.attention.query_key_value,
                block.attention.project,
                block.feed_forward.widen,
                block.feed_forward.narrow,
            )
        )

    def __call__(self, x: Tensor, new: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Shapes: x (B T, C), new (2, B, H, T, D), keys and values (B, H, S, D) -> (B T, C)"""
        _, batch, n_heads, tokens, d_head = new.shape
        together = self.query_key_value.of(self.attention_norm(x))  # shape: (B T, 3C)
        # shape: (B T, 3C) -> (3, B, H, T, D)
        together = together.view(batch, tokens, 3, n_heads, d_head).permute(2, 0, 3, 1, 4)
        new.copy_(together[1:])
        causal = mask is None and tokens > 1
        # Guesses are computed in fp32 and share the cache, which may be in bf16.
        queries = together[0].to(keys.dtype)
        context = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, is_causal=causal).to(x.dtype)
        # shape: (B, H, T, D) -> (B T, C), the heads side by side again
        x = self.project.added(context.transpose(1, 2).reshape(x.shape), x)
        return self.narrow.added(self.widen.gated(self.feed_forward_norm(x)), x)


def _norm(norm: LayerNorm, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    bias = None if norm.bias is None else norm.bias.to(dtype)
    return partial(F.layer_norm, normalized_shape=norm.weight.shape, weight=norm.weight.to(dtype), bias=bias, eps=1e-5)


def _linear(layer: nn.Module, dtype: torch.dtype, layout: Layout) -> _Linear:
    if isinstance(layer, nn.Linear):
        return _weights(layer.weight, layer.bias, dtype, layout)
    return _Plain(copy.deepcopy(layer).to(dtype))  # such as one with a low-rank change beside it


def _weights(weight: Tensor, bias: Tensor | None, dtype: torch.dtype, layout: Layout) -> _Linear:
    weight, bias = weight.to(dtype), None if bias is None else bias.to(dtype)
    if layout == "packed":
        return _Packed(weight, bias)
    if layout == "8 bits":
        return _in_8_bits(weight, bias)
    turned = weight.t().contiguous() if layout == "transposed" else weight.t()
    # One operator, where a linear layer is four.
    return _Plain(partial(torch.mm, mat2=turned) if bias is None else partial(torch.addmm, bias, mat2=turned))
