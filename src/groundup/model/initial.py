"""A model before training: random, or with weights that can copy from the text above before they have learned anything.

To go on as the text above went on takes two heads that work together, an "induction head": one in the first layer
writes to each token which token stood before it; one in a later layer looks for a place whose token before is the
current token, and says what stands there. Neither helps without the other, so training finds them late: a small model
spends most of a short training before it can repeat a word. Here both are there at the start, as numbers in the
ordinary weights of GPT-2's architecture, and training keeps, changes or drops them.

Source: Olsson et al. 2022, "In-context Learning and Induction Heads", for what such heads do; Vaswani et al. 2017 for
    sinusoids as positions; setting them up by hand is this project's (`docs/decisions.md` 14).
"""

import math

import torch
from torch import Tensor

from groundup.config import can_prepare_to_copy
from groundup.model.gpt import GPT, Block, GPTConfig
from groundup.seeding import seed_torch

TOKEN_STD = 0.1
POSITION_SIZE = 0.2  # large beside a token, so that the first head sees positions and not words
LAYERS_THAT_COPY = 2  # after the first

# How large the hand-set parts are: large enough to decide where a head looks, small enough to be learned away.
LOOK_BACK, LOOK_UP, CARRY = 1.5, 2.0, 0.5

FASTEST = math.pi / 1.05  # radians a token; at pi a sine would be zero at every token


def new_model(config: GPTConfig, initial_weights: str, seed: int) -> GPT:
    """A model that has not been trained, the same for the same seed.

    Args:
        initial_weights: `gpt2` for random ones as GPT-2's, `copying` for ones that are set up to copy as well.
    """
    seed_torch(seed, "initial weights")
    model = GPT(config)
    if initial_weights == "copying":
        prepare_to_copy(model)
    return model


@torch.no_grad()
def prepare_to_copy(model: GPT) -> None:
    """Set up the first head of the first layers to copy, on top of the random weights that are there.

    The lower half of the features holds positions, a pair (sine, cosine) for each frequency. Turning each pair by the
    angle of one token gives the features of the token before, so a query turned so finds the key of that place.

    Raises: ValueError if the model has no room for it.
    """
    config = model.config
    if not can_prepare_to_copy(config.d_model, config.n_layers, config.n_heads):
        raise ValueError(f"no room to copy in {config.n_layers} layers of {config.n_heads} heads of {config.d_model}")
    d_head, half = config.d_model // config.n_heads, config.d_model // 2
    frequencies = FASTEST * (1 / config.context_length) ** torch.linspace(0, 1, half // 2)
    angles = torch.arange(config.context_length)[:, None] * frequencies  # shape: (T, half / 2)
    model.token_embedding.weight.mul_(TOKEN_STD / model.token_embedding.weight.std())
    positions = model.position_embedding.weight
    positions.zero_()
    positions[:, 0:half:2], positions[:, 1:half:2] = POSITION_SIZE * angles.sin(), POSITION_SIZE * angles.cos()

    turned, plain = _turned_by_one_token(frequencies[: d_head // 2], config.d_model)
    token_before, mark_before = _directions(d_head, config.d_model), _directions(d_head, config.d_model)
    _add_to_first_head(model, 0, queries=LOOK_BACK * turned, keys=LOOK_BACK * plain)
    _add_to_first_head(model, 0, values=CARRY * token_before, project=CARRY * mark_before)
    for layer in range(1, min(1 + LAYERS_THAT_COPY, config.n_layers)):
        said = _directions(d_head, config.d_model)
        _add_to_first_head(model, layer, queries=LOOK_UP * token_before, keys=LOOK_UP * mark_before)
        _add_to_first_head(model, layer, values=CARRY * said, project=CARRY * said)


def _turned_by_one_token(frequencies: Tensor, d_model: int) -> tuple[Tensor, Tensor]:
    """What reads the fastest positions as they are, and turned back by one token.

    Shapes:  (n,) -> two of (2n, d_model)
    """
    turned, plain = torch.zeros(2, 2 * len(frequencies), d_model)
    for number, frequency in enumerate(frequencies.tolist()):
        sine, cosine = 2 * number, 2 * number + 1
        plain[sine, sine] = plain[cosine, cosine] = 1.0
        turned[sine, sine] = turned[cosine, cosine] = math.cos(frequency)
        turned[sine, cosine], turned[cosine, sine] = -math.sin(frequency), math.sin(frequency)
    return turned, plain


def _directions(n: int, d_model: int) -> Tensor:
    """Random directions at right angles to each other, among the features that hold no positions.

    Shapes:  -> (n, d_model)
    """
    half = d_model // 2
    result = torch.zeros(n, d_model)
    result[:, half:] = torch.linalg.qr(torch.randn(d_model - half, d_model - half)).Q[:n]
    return result


def _add_to_first_head(model: GPT, layer: int, **parts: Tensor) -> None:
    """Add to the weights of the first head of a layer; `project` is given transposed.

    Shapes:  each (d_head, d_model)
    """
    block = model.blocks[layer]
    assert isinstance(block, Block)
    attention = block.attention
    queries, keys, values = attention.query_key_value.weight.split(model.config.d_model)
    weights = {"queries": queries, "keys": keys, "values": values, "project": attention.project.weight.T}
    for name, part in parts.items():
        weights[name][: len(part)] += part
