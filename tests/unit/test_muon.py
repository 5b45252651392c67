"""Muon: directions made orthogonal, the rest left to AdamW, and every rate set by the training loop."""

import pytest
import torch
from helpers import tiny_gpt, training_settings

from groundup.train.optimizer import AdamW, Muon, make_optimizer, orthogonalised


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 32), (2, 32, 8), (1, 1, 5)])
def test_all_singular_values_end_near_one(shape):
    torch.manual_seed(1)
    values = torch.linalg.svdvals(orthogonalised(torch.randn(shape)))
    # The quintic oscillates around one; rounding to bf16 adds a little.
    assert values.min() > 0.4
    assert values.max() < 1.4


def test_the_direction_of_each_singular_vector_is_kept():
    torch.manual_seed(2)
    left, _, right = torch.linalg.svd(torch.randn(6, 6))
    matrix = left @ torch.diag(torch.tensor([5.0, 3.0, 2.0, 1.0, 0.9, 0.8])) @ right
    turned = left.T @ orthogonalised(matrix[None])[0] @ right.T
    assert (turned.diagonal() > 0.4).all()
    assert (turned - torch.diag(turned.diagonal())).abs().max() < 0.1


def test_a_matrix_without_a_gradient_s_size_stays_finite():
    assert orthogonalised(torch.zeros(1, 4, 4)).abs().sum() == 0


def optimizer_of(model, **changes):
    return make_optimizer(model, training_settings(optimizer="muon", learning_rate=0.01, **changes))


def loss_of(model):
    return model(torch.tensor([[1, 2, 3, 4]])).square().mean()


def test_matrices_of_the_blocks_go_to_muon_and_everything_else_to_adamw():
    model = tiny_gpt()
    optimizer = optimizer_of(model)
    assert isinstance(optimizer, Muon)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    own = {names[id(parameter)] for parameter in optimizer.param_groups[0]["params"]}
    rest = {names[id(parameter)] for group in optimizer.param_groups[1:] for parameter in group["params"]}
    assert own == {name for name, parameter in model.named_parameters() if "blocks." in name and parameter.dim() == 2}
    assert own | rest == set(names.values())
    assert not own & rest


def test_the_rate_that_the_loop_sets_reaches_every_weight():
    model = tiny_gpt()
    optimizer = optimizer_of(model, weight_decay=0.5)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    loss_of(model).backward()
    optimizer.step()
    assert all(torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))


def test_steps_make_the_loss_smaller():
    torch.manual_seed(3)
    model = tiny_gpt()
    optimizer = optimizer_of(model)
    first = loss_of(model).item()
    for _ in range(20):
        optimizer.zero_grad()
        loss_of(model).backward()
        optimizer.step()
    assert loss_of(model).item() < 0.5 * first


def test_the_update_of_a_matrix_has_the_size_that_adamw_s_has():
    model = tiny_gpt()
    optimizer = optimizer_of(model)
    weight = model.blocks[0].feed_forward.widen.weight
    before = weight.detach().clone()
    loss_of(model).backward()
    optimizer.step()
    size = (weight - before).square().mean().sqrt().item() / 0.01
    assert 0.05 < size < 0.3  # the quintic leaves singular values below one, and this gradient has a low rank


def test_frozen_weights_are_left_alone():
    model = tiny_gpt()
    for parameter in model.blocks.parameters():
        parameter.requires_grad_(False)
    assert isinstance(optimizer_of(model), AdamW)


def test_many_steps_are_those_of_one_matrix_after_the_other():
    """Momentum, a step further along it, decay, and queries, keys and values apart, as written in the papers."""
    rate, decay, momentum = 0.1, 0.5, 0.95
    model = tiny_gpt()
    optimizer = make_optimizer(model, training_settings(optimizer="muon", learning_rate=rate, weight_decay=decay))
    own = optimizer.param_groups[0]["params"]
    plain = [weight.detach().clone() for weight in own]
    remembered = [torch.zeros_like(weight) for weight in plain]
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        for number, weight in enumerate(own):
            gradient = torch.randn(weight.shape, generator=generator)
            weight.grad = gradient.clone()
            remembered[number] = momentum * remembered[number] + (1 - momentum) * gradient
            ahead = momentum * remembered[number] + (1 - momentum) * gradient
            plain[number] *= 1 - rate * decay
            rows, columns = weight.shape
            for start in range(0, rows, columns if rows == 3 * columns else rows):
                part = slice(start, start + (columns if rows == 3 * columns else rows))
                lying = rows <= columns or rows == 3 * columns
                direction = ahead[part] if lying else ahead[part].T
                update = orthogonalised(direction[None].bfloat16())[0].float()
                size = 0.2 * max(direction.shape) ** 0.5
                plain[number][part] -= rate * size * (update if lying else update.T)
        optimizer.step()
        for weight, expected in zip(own, plain, strict=True):
            # Where a direction rounds to the neighbouring bf16, five iterations spread that over the update, which is
            # 0.2 of the rate: some 2^-5 of it in each of four steps.
            torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=4 * rate * 0.2 * 2**-5)
