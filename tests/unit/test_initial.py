"""Models before training: the same for the same seed, and able to copy where that is asked for."""

import math

import pytest
import torch

from groundup.model.gpt import GPT, GPTConfig
from groundup.model.initial import new_model, prepare_to_copy
from groundup.seeding import seed_torch

CONFIG = GPTConfig(vocab_size=100, context_length=64, d_model=160, n_layers=3, n_heads=4)


def first_head_weights(model, layer, input_ids):
    """Where each token looks with the first head of a layer. Shapes: (B, T) -> (B, T, T)."""
    x = model.token_embedding(input_ids) + model.position_embedding.weight[: input_ids.shape[1]]
    for block in model.blocks[:layer]:
        x = block(x)
    block, d_head = model.blocks[layer], CONFIG.d_model // CONFIG.n_heads
    q, k, _ = block.attention.query_key_value(block.attention_norm(x)).split(CONFIG.d_model, dim=2)
    scores = q[..., :d_head] @ k[..., :d_head].mT / math.sqrt(d_head)
    later = torch.ones(scores.shape[1:], dtype=torch.bool).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(dim=-1)


@pytest.fixture
def repeated():
    """Random tokens, and the same once more. Shapes: (4, 64)."""
    torch.manual_seed(0)
    return torch.randint(0, CONFIG.vocab_size, (4, 32)).repeat(1, 2)


@torch.no_grad()
def test_the_first_head_looks_one_token_back(repeated):
    at = torch.arange(1, 64)
    assert first_head_weights(new_model(CONFIG, "copying", 1), 0, repeated)[:, at, at - 1].mean() > 0.8
    assert first_head_weights(new_model(CONFIG, "gpt2", 1), 0, repeated)[:, at, at - 1].mean() < 0.2


@torch.no_grad()
def test_the_next_layer_finds_what_came_after_the_same_token(repeated):
    at = torch.arange(40, 64)
    weights = first_head_weights(new_model(CONFIG, "copying", 1), 1, repeated)
    assert weights[:, at, at - 31].mean() > 0.3  # by chance it would be one in fifty
    assert first_head_weights(new_model(CONFIG, "gpt2", 1), 1, repeated)[:, at, at - 31].mean() < 0.05


def loss_on_repeats(initial_weights, steps=60):
    """Nats per token of the second half of repeated random text, after some steps of training on such text."""
    model = new_model(CONFIG, initial_weights, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    generator = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(steps):
        text = torch.randint(0, CONFIG.vocab_size, (8, 32), generator=generator).repeat(1, 2)
        logits = model(text[:, :-1])[:, 32:]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 33:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses[-5:]) / 5


def test_a_short_training_learns_to_repeat_only_from_weights_that_can_copy():
    assert loss_on_repeats("gpt2") > 4.0  # chance is ln(100) = 4.6
    assert loss_on_repeats("copying") < 2.0


def test_gpt2_weights_are_those_of_a_plain_model():
    seed_torch(7, "initial weights")
    plain = GPT(CONFIG).state_dict()
    assert all(torch.equal(plain[name], tensor) for name, tensor in new_model(CONFIG, "gpt2", 7).state_dict().items())


@pytest.mark.parametrize("initial_weights", ["gpt2", "copying"])
def test_the_same_seed_gives_the_same_weights(initial_weights):
    first, again, other = (new_model(CONFIG, initial_weights, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["token_embedding.weight"], other["token_embedding.weight"])


@pytest.mark.parametrize(("d_model", "n_layers", "n_heads"), [(32, 1, 2), (32, 2, 1), (30, 2, 2), (36, 2, 4)])
def test_a_model_without_room_for_the_heads_is_refused(d_model, n_layers, n_heads):
    config = GPTConfig(vocab_size=50, context_length=16, d_model=d_model, n_layers=n_layers, n_heads=n_heads)
    with pytest.raises(ValueError, match="no room to copy"):
        prepare_to_copy(GPT(config))
