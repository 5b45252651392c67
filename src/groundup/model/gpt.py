"""The GPT: embeddings, transformer blocks, final norm, and a head that scores the next token.

GPT-2's architecture: learned positions, LayerNorm before each part, tanh GELU, and (as chosen) biases and an output
head that shares the token embedding's weights.
Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the book's chapter 4.

Shape letters: B batch, T tokens, C d_model, V vocabulary.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundup.config import LoraParams, Pooling
from groundup.model.attention import CausalSelfAttention
from groundup.model.layers import Dropout, FeedForward, LayerNorm
from groundup.model.lora import add_lora

INITIAL_STD = 0.02  # GPT-2's


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT; saved beside its weights.

    Raises: ValueError if a size is not positive or the heads do not divide `d_model`.
    """

    vocab_size: int
    context_length: int
    d_model: int
    n_layers: int
    n_heads: int
    dropout: float = 0.0
    bias: bool = True
    tie_weights: bool = True

    def __post_init__(self) -> None:
        for name in ("vocab_size", "context_length", "d_model", "n_layers", "n_heads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not divisible by n_heads {self.n_heads}")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def n_parameters(self) -> int:
        """Numbers that training may change in a model of this shape, a tied head counted once."""
        c = self.d_model
        norm = c + c * self.bias
        widths = (3 * c, c, 4 * c)  # attention in, attention out, feed-forward in; each has c inputs
        block = 2 * norm + sum(c * width + width * self.bias for width in widths) + 4 * c * c + c * self.bias
        embeddings = (self.vocab_size * (1 if self.tie_weights else 2) + self.context_length) * c
        return embeddings + self.n_layers * block + norm


class Block(nn.Module):
    """Look around (attention), then think (feed-forward), each added to what was there: the shortcut connections.

    Shapes:  (B, T, C) -> (B, T, C)
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.attention_norm = LayerNorm(config.d_model, config.bias)
        self.attention = CausalSelfAttention(config.d_model, config.n_heads, config.dropout, config.bias)
        self.feed_forward_norm = LayerNorm(config.d_model, config.bias)
        self.feed_forward = FeedForward(config.d_model, config.dropout, config.bias)

    def forward(self, x: Tensor, *, mask: Tensor | None = None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask=mask)
        return x + self.feed_forward(self.feed_forward_norm(x))

    def of_last(self, x: Tensor, rows: Tensor, last: Tensor) -> Tensor:
        """The same for one token of each text only. Shapes: x (B, T, C), rows and last (B,) -> (B, C)"""
        one = x[rows, last] + self.attention.of_last(self.attention_norm(x), rows, last)
        # For so few rows bf16 saves less than it costs to bring weights to it and their gradients back.
        with torch.autocast(x.device.type, enabled=False):
            out: Tensor = one + self.feed_forward(self.feed_forward_norm(one))
        return out


class GPT(nn.Module):
    """A decoder-only transformer that reads token ids and scores every token of the vocabulary as the next one.

    Shapes:  input_ids (B, T) -> logits (B, T, V)
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position_embedding = nn.Embedding(config.context_length, config.d_model)
        self.dropout = Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.final_norm = LayerNorm(config.d_model, config.bias)
        self.head = None if config.tie_weights else nn.Linear(config.d_model, config.vocab_size, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        """Normal weights of GPT-2's width, narrower where they add to the shortcut: 2 n_layers such terms sum up."""
        shortcut_std = INITIAL_STD / math.sqrt(2 * self.config.n_layers)
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                adds_to_shortcut = name.endswith(("attention.project.weight", "feed_forward.narrow.weight"))
                nn.init.normal_(parameter, std=shortcut_std if adds_to_shortcut else INITIAL_STD)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    @property
    def head_weight(self) -> Tensor:
        """The matrix that turns features into scores over the vocabulary.

        Shapes:  (V, C)
        """
        return self.token_embedding.weight if self.head is None else self.head.weight

    @property
    def device(self) -> torch.device:
        return self.token_embedding.weight.device

    @property
    def n_parameters(self) -> int:
        """Numbers that training may change, a tied head counted once."""
        return sum(parameter.numel() for parameter in self.parameters())

    def features(self, input_ids: Tensor, *, positions: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """What the model knows at each token, after the final norm and before any head.

        Args:
            positions: the place of each token in its text; None means 0, 1, 2 …
            mask: True where a query may look; None means causal.
        Shapes:  input_ids and positions (B, T), mask broadcast to (B, H, T, T) -> (B, T, C)
        Raises:  ValueError if the tokens reach beyond the context length.
        """
        if positions is None:
            end = input_ids.shape[1]
            if end > self.config.context_length:
                raise ValueError(f"{end} tokens are more than the context length {self.config.context_length}")
            positions = torch.arange(end, device=input_ids.device)
        x = self._embedded(input_ids, positions)
        for block in self.blocks:
            x = block(x, mask=mask)
        return self.final_norm(x)

    def _embedded(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        x: Tensor = self.dropout(self.token_embedding(input_ids) + self.position_embedding(positions))
        if torch.is_autocast_enabled(x.device.type):  # the shortcut in the products' format: half the bytes to move
            x = x.to(torch.get_autocast_dtype(x.device.type))
        return x

    @property
    def n_frozen_blocks(self) -> int:
        """How many first blocks no training changes; 0 if the embeddings before them train."""
        frozen = 0
        if any(p.requires_grad for p in (self.token_embedding.weight, self.position_embedding.weight)):
            return frozen
        for block in self.blocks:
            if any(parameter.requires_grad for parameter in block.parameters()):
                break
            frozen += 1
        return frozen

    def hidden(self, input_ids: Tensor, n_blocks: int) -> Tensor:
        """What stands on the shortcut after the first blocks, each text from its first position.

        Shapes:  (B, T) -> (B, T, C)
        """
        x = self._embedded(input_ids, torch.arange(input_ids.shape[1], device=input_ids.device))
        for block in self.blocks[:n_blocks]:
            x = block(x)
        return x

    def features_of(self, hidden: Tensor, first_block: int, mask: Tensor | None = None) -> Tensor:
        """The features of all tokens, from what stood on the shortcut before some block.

        Shapes:  hidden (B, T, C), mask as for `features` -> (B, T, C)
        Oracle:  `features`
        """
        for block in self.blocks[first_block:]:
            hidden = block(hidden, mask=mask)
        features: Tensor = self.final_norm(hidden)
        return features

    def features_of_last(self, hidden: Tensor, lengths: Tensor, first_block: int) -> Tensor:
        """The feature of each text's last token, from what stood on the shortcut before some block.

        The last block need not look at any token but those.

        Shapes:  hidden (B, T, C), lengths (B,) -> (B, C)
        Oracle:  `features`, at the last tokens
        """
        rows, last = torch.arange(len(lengths), device=hidden.device), lengths - 1
        blocks = list(self.blocks[first_block:])
        for block in blocks[:-1]:
            hidden = block(hidden)
        x = hidden[rows, last]
        if blocks:
            assert isinstance(blocks[-1], Block)
            x = blocks[-1].of_last(hidden, rows, last)
        return self.final_norm(x)

    def forward(self, input_ids: Tensor) -> Tensor:
        return F.linear(self.features(input_ids), self.head_weight)


def pooled(features: Tensor, lengths: Tensor, pooling: Pooling) -> Tensor:
    """One vector for each text, of the features of its tokens; what stands behind its end takes no part.

    Args:
        pooling: `last` takes the last token's, the only one that has seen the whole text; `mean` the mean of all; `max`
            the largest of each feature, so that one telling word is enough wherever it stands.
    Shapes:  features (B, T, C), lengths (B,), at least 1 -> (B, C)
    Source:  the last token's: the book's chapter 6; the largest: Collobert et al. 2011, "Natural Language Processing
        (Almost) from Scratch".
    """
    if pooling == "last":
        return features[torch.arange(len(lengths), device=features.device), lengths - 1]
    outside = (torch.arange(features.shape[1], device=features.device) >= lengths[:, None])[..., None]
    if pooling == "max":
        return features.masked_fill(outside, -math.inf).amax(dim=1)
    return features.masked_fill(outside, 0.0).sum(dim=1) / lengths[:, None]


class GPTClassifier(nn.Module):
    """A GPT that sorts texts into classes: one vector of the features of a text's tokens, through a small head.

    Padding stands on the right, where causal attention never looks, so the scores depend neither on padding nor on the
    other texts of the batch.
    Source: the book's chapter 6.

    Shapes:  input_ids (B, T), lengths (B,) -> logits (B, n_classes)
    Raises:  ValueError for a pooling that is unknown.
    """

    def __init__(self, trunk: GPT, n_classes: int, pooling: Pooling = "last") -> None:
        super().__init__()
        if pooling not in get_args(Pooling):
            raise ValueError(f"pooling must be one of {', '.join(get_args(Pooling))}, got {pooling}")
        self.trunk = trunk
        self.pooling = pooling
        self.class_head = nn.Linear(trunk.config.d_model, n_classes)
        nn.init.normal_(self.class_head.weight, std=INITIAL_STD)
        nn.init.zeros_(self.class_head.bias)

    @property
    def config(self) -> GPTConfig:
        return self.trunk.config

    @property
    def device(self) -> torch.device:
        return self.trunk.device

    def forward(self, input_ids: Tensor, lengths: Tensor) -> Tensor:
        return self.scores(self.trunk.features(input_ids), lengths)

    def scores(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The scores of texts whose tokens have these features. Shapes: (B, T, C), (B,) -> (B, n_classes)"""
        scores: Tensor = self.class_head(pooled(features, lengths, self.pooling))
        return scores


def choose_trainable(model: nn.Module, which: str, lora: LoraParams | None = None) -> None:
    """Freeze a model but for the layers that fine-tuning may change.

    Args:
        which: `head` (the output layer only), `last_block` and `last_two_blocks` (with the final norm and the head),
            `all`, or `lora`: low-rank changes beside the blocks' matrices, and a classifier's head. A tied head is the
            token embedding, so `head` then trains that; `lora` leaves it frozen.
    """
    trunk = model.trunk if isinstance(model, GPTClassifier) else model
    assert isinstance(trunk, GPT)
    n_blocks = {"head": 0, "lora": 0, "last_block": 1, "last_two_blocks": 2, "all": len(trunk.blocks)}[which]
    model.requires_grad_(which == "all")
    for block in list(trunk.blocks)[len(trunk.blocks) - n_blocks :]:
        block.requires_grad_(True)
    if n_blocks:
        trunk.final_norm.requires_grad_(True)
    if which == "lora":
        assert lora is not None, "LoRA has a rank, an alpha and targets"
        add_lora(trunk.blocks, lora)
    if isinstance(model, GPTClassifier):
        model.class_head.requires_grad_(True)
    elif which != "lora":
        trunk.head_weight.requires_grad_(True)


def set_dropout(model: nn.Module, dropout: float) -> None:
    """Change the dropout of every layer, as fine-tuning may ask for another than pretraining did."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout
        elif isinstance(module, CausalSelfAttention):
            module.weight_dropout = dropout
