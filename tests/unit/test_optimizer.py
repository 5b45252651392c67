"""AdamW over the weights that train, with decay on matrices only."""

import subprocess
import sys

import pytest
import torch
from helpers import tiny_gpt, training_settings
from imports import ROOT

from groundup.model.gpt import GPTClassifier, choose_trainable
from groundup.train.optimizer import load_optimizer_state, make_optimizer, optimizer_state


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


def test_many_steps_are_those_of_torch_s_adamw():
    ours, theirs = tiny_gpt(), tiny_gpt()
    theirs.load_state_dict(ours.state_dict())
    settings = training_settings(learning_rate=0.01, weight_decay=0.1, beta1=0.8, beta2=0.9)
    one = make_optimizer(ours, settings)
    other = torch.optim.AdamW(
        [
            {"params": [p for p in theirs.parameters() if p.dim() >= 2], "weight_decay": 0.1},
            {"params": [p for p in theirs.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=0.01,
        betas=(0.8, 0.9),
    )
    torch.manual_seed(1)
    for step in range(20):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            # A weight that a batch does not touch may have no gradient at some steps; it stays as it is then.
            a.grad = None if step % 3 == 1 and a.dim() < 2 else torch.randn_like(a)
            b.grad = None if a.grad is None else a.grad.clone()
        for group in [*one.param_groups, *other.param_groups]:
            group["lr"] = 0.01 / (step + 1)
        one.step()
        other.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_what_is_remembered_is_put_back(optimizer):
    model = tiny_gpt()
    settings = training_settings(optimizer=optimizer, learning_rate=0.01)
    first, second = make_optimizer(model, settings), make_optimizer(model, settings)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    first.step()
    state = optimizer_state(model, first)
    kinds = {key.partition(".")[0] for key in state}
    assert kinds == {"step", "exp_avg", "exp_avg_sq"} | ({"momentum"} if optimizer == "muon" else set())
    assert optimizer_state(model, second) == {}
    load_optimizer_state(model, second, state)
    again = optimizer_state(model, second)
    assert list(again) == list(state)
    assert all(torch.equal(again[key], state[key]) for key in state)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_training_does_not_import_torch_s_compiler(optimizer):
    """It takes two seconds; torch.optim imports it at first use, and so does `use_deterministic_algorithms`."""
    code = f"""
import sys
sys.path.insert(0, {str(ROOT / "tests" / "unit")!r})
import torch
from helpers import runtime_params, tiny_gpt, training_settings
from groundup.train.optimizer import make_optimizer
from groundup.train.precision import autocast, prepare_runtime
from groundup.train.step import training_step
from types import SimpleNamespace

prepare_runtime(runtime_params(threads=1))
model = tiny_gpt()
optimizer = make_optimizer(model, training_settings(optimizer={optimizer!r}))
batch = SimpleNamespace(n_targets=4, n_tokens=4)
loss_of = lambda model, batch: model(torch.tensor([[1, 2, 3, 4]])).square().mean()
training_step(model, optimizer, [batch], loss_of, autocast("fp32", model.device), 1.0)
print(sorted(name for name in sys.modules if name in ("torch._dynamo", "torch._inductor", "sympy")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
