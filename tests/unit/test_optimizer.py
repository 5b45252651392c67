"""AdamW over the weights that train, with decay on matrices only."""

import pytest
import torch
from helpers import tiny_gpt, training_settings

from groundup.model.gpt import GPTClassifier, choose_trainable
from groundup.train.optimizer import make_optimizer


def names_of(model, parameters) -> set[str]:
    wanted = {id(parameter) for parameter in parameters}
    return {name for name, parameter in model.named_parameters() if id(parameter) in wanted}


def test_matrices_decay_and_biases_and_norms_do_not():
    model = tiny_gpt()
    decayed, others = make_optimizer(model, training_settings(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0.0)
    assert names_of(model, others["params"]) == {
        name for name, _ in model.named_parameters() if name.endswith("bias") or "norm" in name
    }
    assert names_of(model, decayed["params"]) | names_of(model, others["params"]) == {
        name for name, _ in model.named_parameters()
    }


def test_only_what_trains_is_in_it():
    model = GPTClassifier(tiny_gpt(), 2)
    choose_trainable(model, "head")
    groups = make_optimizer(model, training_settings()).param_groups
    assert names_of(model, [p for group in groups for p in group["params"]]) == {
        "class_head.weight",
        "class_head.bias",
    }


def test_a_step_without_gradient_shrinks_matrices_by_rate_times_decay():
    model = tiny_gpt()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, training_settings(weight_decay=0.5, learning_rate=0.1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    for name, parameter in model.named_parameters():
        factor = 0.95 if parameter.dim() == 2 else 1.0
        torch.testing.assert_close(parameter.detach(), factor * before[name])


def test_the_settings_reach_it():
    [group, *_] = make_optimizer(tiny_gpt(), training_settings(learning_rate=0.003, beta1=0.8, beta2=0.9)).param_groups
    assert group["lr"] == pytest.approx(0.003)
    assert group["betas"] == (0.8, 0.9)


def test_the_first_step_moves_each_weight_by_the_rate_against_its_gradient():
    # Adam's first step divides each gradient by its own size; only epsilon (1e-8) keeps it from being exact.
    model = tiny_gpt()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = make_optimizer(model, training_settings(learning_rate=0.01))
    for parameter in model.parameters():
        parameter.grad = torch.where(torch.rand_like(parameter) < 0.5, 2.0, -3.0)
    optimizer.step()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] - 0.01 * parameter.grad.sign(), rtol=0, atol=1e-6)
