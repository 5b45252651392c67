"""Our GPT and Hugging Face's GPT-2, with the same weights, give the same scores and the same texts."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from groundup.generate import generate
from groundup.model.gpt import GPT, GPTConfig
from groundup.model.gpt2_weights import gpt2_name, to_gpt2
from groundup.model.loss import token_loss

# Scores up to about 10 through two or three blocks in fp32: rounding of 2^-24 in sums of 16 to 64 products leaves about
# 1e-6. A wrong epsilon, GELU or scale is off by 1e-4 or more.
CLOSE = {"rtol": 0.0, "atol": 1e-5}


def random_gpt(tie_weights: bool, **changes: int) -> GPT:
    """A model whose every weight, biases and norms included, says something."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 53, "context_length": 9, "d_model": 16, "n_layers": 2, "n_heads": 4, **changes}
    model = GPT(GPTConfig(**sizes, tie_weights=tie_weights))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model.eval()


def as_transformers(model: GPT) -> GPT2LMHeadModel:
    config = model.config
    theirs = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.context_length,
            n_embd=config.d_model,
            n_layer=config.n_layers,
            n_head=config.n_heads,
            tie_word_embeddings=config.tie_weights,
            bos_token_id=0,
            eos_token_id=0,
        )
    )
    theirs.load_state_dict(to_gpt2(model), strict=True)
    return theirs.eval()


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("changes", [{}, {"n_heads": 1, "n_layers": 1}, {"n_heads": 16, "n_layers": 3}])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 9)])  # one token; the whole context
def test_scores_equal_those_of_transformers(tie_weights, changes, shape):
    model = random_gpt(tie_weights, **changes)
    theirs = as_transformers(model)
    input_ids = torch.randint(53, shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model(input_ids), theirs(input_ids).logits, **CLOSE)


@pytest.mark.parametrize("tie_weights", [True, False])
def test_the_loss_and_its_gradients_equal_those_of_transformers(tie_weights):
    model = random_gpt(tie_weights).double()
    theirs = as_transformers(model).double()
    tokens = torch.randint(53, (2, 9), generator=torch.Generator().manual_seed(2))
    targets = tokens[:, 1:]
    ours = token_loss(model.features(tokens[:, :-1]), model.head_weight, targets) / targets.numel()
    other = theirs(tokens, labels=tokens).loss
    # transformers forms its loss in fp32 whatever the model: 1e-6 of it, and as much of the gradients, is rounding.
    torch.testing.assert_close(ours, other.to(ours), rtol=1e-6, atol=0.0)
    ours.backward()
    other.backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in model.named_parameters():
        their_gradient = gradients[gpt2_name(name)]
        if their_gradient.dim() == 2 and "h." in gpt2_name(name):
            their_gradient = their_gradient.T
        torch.testing.assert_close(parameter.grad, their_gradient, rtol=1e-5, atol=1e-6)


def test_greedy_texts_equal_those_of_transformers():
    model = random_gpt(True)
    prompt = [3, 1, 4]
    theirs = as_transformers(model).generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, 3, dtype=torch.long),
        max_new_tokens=6,
        do_sample=False,
        pad_token_id=0,
        eos_token_id=None,
    )
    assert generate(model, [prompt], 6) == [theirs[0, 3:].tolist()]


def test_every_weight_has_a_name_there_and_none_is_left_over():
    model = random_gpt(False)
    theirs = as_transformers(model)
    names = [gpt2_name(name) for name in model.state_dict()]
    assert sorted(names) == sorted(name for name, _ in theirs.named_parameters())
