"""The model: its shape, what it may see, which of its weights train."""

import pytest
import torch
from helpers import tiny_config, tiny_gpt

from groundup.model.gpt import GPT, INITIAL_STD, GPTClassifier, GPTConfig, choose_trainable, set_dropout
from groundup.model.loss import token_loss
from groundup.seeding import seed_torch

IDS = torch.randint(31, (3, 12), generator=torch.Generator().manual_seed(0))


def test_scores_have_a_row_for_each_token_and_a_column_for_each_word():
    model = tiny_gpt()
    assert model(IDS[:, :5]).shape == (3, 5, 31)
    assert model.features(IDS[:, :5]).shape == (3, 5, 16)


def test_one_token_and_the_whole_context_fit_and_one_more_does_not():
    model = tiny_gpt()
    assert model(IDS[:, :1]).shape == (3, 1, 31)
    assert model(IDS).shape == (3, 12, 31)
    with pytest.raises(ValueError, match="13 tokens are more than the context length 12"):
        model(torch.zeros(1, 13, dtype=torch.long))


def test_a_score_depends_on_its_token_and_those_before_and_on_none_after():
    model = tiny_gpt().double()
    changed = IDS.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 31
    before, after = model(IDS), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert ((before[:, 7:] - after[:, 7:]).abs().amax(dim=-1) > 1e-6).all()


def test_in_bf16_the_shortcut_is_bf16_and_scores_and_gradients_are_those_of_fp32_but_for_rounding():
    model, tokens = tiny_gpt(), torch.randint(31, (3, 12), generator=torch.Generator().manual_seed(0))
    exact = model.features(tokens)
    exact.square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    seen = []
    for block in model.blocks:
        block.register_forward_hook(lambda block, inputs, output: seen.append(output.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model.features(tokens)
    assert seen == [torch.bfloat16] * len(model.blocks)
    rounded.float().square().sum().backward()
    # A rounding is off by up to 2^-9 of the value, and some ten stand between a token and its features.
    assert (rounded - exact).norm() / exact.norm() < 0.02
    for name, parameter in model.named_parameters():
        assert parameter.grad.dtype == torch.float32
        assert (parameter.grad - gradients[name]).norm() <= 0.06 * gradients[name].norm() + 1e-6, name


def test_positions_matter():
    model = tiny_gpt()
    same = torch.full((1, 4), 5)
    scores = model(same)[0]
    assert (scores[1:] - scores[:-1]).abs().amax() > 1e-3
    moved = model.features(same, positions=torch.tensor([[3, 2, 1, 0]]))
    assert not torch.allclose(moved, model.features(same))


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_the_number_of_weights_is_that_of_the_formula(tie_weights, bias):
    model = GPT(tiny_config(tie_weights=tie_weights, bias=bias))
    vocab, context, wide, layers = 31, 12, 16, 2
    matrices = 12 * wide * wide * layers + (vocab + context) * wide + (0 if tie_weights else vocab * wide)
    norms = (2 * layers + 1) * wide
    biases = norms + layers * (3 + 1 + 4 + 1) * wide
    assert model.n_parameters == matrices + norms + (biases if bias else 0)


def test_gpt2_s_smallest_size_has_124_million_weights():
    with torch.device("meta"):  # counted, not made
        model = GPT(GPTConfig(vocab_size=50257, context_length=1024, d_model=768, n_layers=12, n_heads=12))
    assert model.n_parameters == 124_439_808


def test_a_new_model_begins_with_gpt2_s_widths():
    seed_torch(0, "widths")
    model = GPT(tiny_config(d_model=48, n_layers=8, vocab_size=400))
    # The spread of n normal numbers is off by std / sqrt(2 n), at most 1 % of it here; three times that is allowed.
    for name, parameter in model.named_parameters():
        if name.endswith(("project.weight", "narrow.weight")):
            assert parameter.std().item() == pytest.approx(INITIAL_STD / 4, rel=0.05), name
        elif parameter.dim() == 2 and parameter.numel() > 5000:
            assert parameter.std().item() == pytest.approx(INITIAL_STD, rel=0.05), name
        elif name.endswith("bias"):
            assert not parameter.any(), name
        elif name.endswith("norm.weight"):
            assert (parameter == 1).all(), name


def test_the_same_seed_makes_the_same_model_and_another_seed_another():
    first, second, third = (tiny_gpt(seed, std=None).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["token_embedding.weight"], third["token_embedding.weight"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_layers": 0}, "n_layers must be at least 1, got 0"),
        ({"vocab_size": -3}, "vocab_size must be at least 1, got -3"),
        ({"n_heads": 3}, "d_model 16 is not divisible by n_heads 3"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
    ],
)
def test_an_impossible_shape_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny_config(**changes)


def test_dropout_acts_in_training_only():
    model = tiny_gpt(dropout=0.5)
    model.train()
    assert not torch.equal(model(IDS), model(IDS))
    model.eval()
    assert torch.equal(model(IDS), model(IDS))


def test_set_dropout_changes_every_place_of_it():
    model = GPTClassifier(tiny_gpt(dropout=0.5), 2)
    set_dropout(model, 0.0)
    model.train()
    expected = GPTClassifier(tiny_gpt(dropout=0.0), 2)
    expected.load_state_dict(model.state_dict())
    lengths = torch.tensor([12, 12, 12])
    assert torch.equal(model(IDS, lengths), expected(IDS, lengths))
    set_dropout(model, 0.5)
    attention = model.trunk.blocks[0].attention
    assert attention.weight_dropout == 0.5
    assert not torch.equal(model(IDS, lengths), model(IDS, lengths))


def tiny_classifier() -> GPTClassifier:
    model = GPTClassifier(tiny_gpt().double(), 3).double()
    with torch.no_grad():
        model.class_head.weight.normal_(generator=torch.Generator().manual_seed(0))
    return model.eval()


def test_class_scores_are_the_same_at_any_padding_and_batch_size():
    model = tiny_classifier()
    rows = [[1], [2, 3, 4, 5, 6], list(range(12))]
    lengths = torch.tensor([len(row) for row in rows])
    alone = torch.cat([model(torch.tensor([row]), torch.tensor([len(row)])) for row in rows])
    for fill in (0, 30):
        together = model(torch.tensor([row + [fill] * (12 - len(row)) for row in rows]), lengths)
        # float64: sums of 16 numbers in another order.
        torch.testing.assert_close(together, alone, rtol=1e-12, atol=1e-12)
    for width in (1, 5, 9, 12):
        padded = model(torch.tensor([[1] + [7] * (width - 1)]), torch.tensor([1]))
        torch.testing.assert_close(padded, alone[:1], rtol=1e-12, atol=1e-12)


def test_class_scores_read_the_last_real_token():
    model = tiny_classifier()
    ids = torch.tensor([[1, 2, 3, 4]])
    expected = model.class_head(model.trunk.features(ids)[:, 2])
    assert torch.equal(model(ids, torch.tensor([3])), expected)
    assert not torch.allclose(model(ids, torch.tensor([4])), expected)


TRUNK_HEAD = ("trunk.final_norm.", "class_head.")
TRAINED = {
    "head": ("class_head.",),
    "last_block": ("trunk.blocks.2.", *TRUNK_HEAD),
    "last_two_blocks": ("trunk.blocks.1.", "trunk.blocks.2.", *TRUNK_HEAD),
    "all": ("",),
}


@pytest.mark.parametrize("which", TRAINED)
def test_of_a_classifier_the_chosen_layers_train_and_the_others_stay(which):
    model = GPTClassifier(tiny_gpt(n_layers=3), 2)
    choose_trainable(model, which)
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    logits = model(IDS, torch.tensor([12, 5, 1]))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 1])).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        trains = name.startswith(TRAINED[which])
        assert parameter.requires_grad == trains, name
        assert (parameter.grad is not None) == trains, name
        assert torch.equal(parameter, before[name]) != trains, name


@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize(("which", "blocks"), [("head", ()), ("last_block", (2,)), ("last_two_blocks", (1, 2))])
def test_of_a_language_model_the_chosen_layers_train_and_the_others_stay(which, blocks, tie_weights):
    model = tiny_gpt(n_layers=3, tie_weights=tie_weights)
    choose_trainable(model, "all")
    assert all(parameter.requires_grad for parameter in model.parameters())
    choose_trainable(model, which)
    head = "token_embedding." if tie_weights else "head."  # a tied head is the embedding
    expected = (head, *(f"blocks.{number}." for number in blocks), *(("final_norm.",) if blocks else ()))
    token_loss(model.features(IDS[:, :-1]), model.head_weight, IDS[:, 1:]).backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == name.startswith(expected), name
        assert (parameter.grad is not None) == name.startswith(expected), name


def test_last_two_blocks_of_a_model_with_one_are_that_one():
    model = tiny_gpt(n_layers=1)
    choose_trainable(model, "last_two_blocks")
    assert all(parameter.requires_grad for parameter in model.blocks.parameters())
    assert not model.position_embedding.weight.requires_grad
