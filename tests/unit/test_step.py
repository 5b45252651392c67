"""One optimizer step: a sum over targets divided once, however the targets are spread over batches."""

import contextlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from helpers import CPU, tiny_gpt, token_store, training_settings

from groundup.data.instructions import Instruction
from groundup.model.loss import token_loss
from groundup.tasks.instruct import InstructionRows, instruction_batch
from groundup.tasks.language import TokenBatch
from groundup.train.optimizer import make_optimizer
from groundup.train.step import training_step

EXACTLY = contextlib.nullcontext()


def loss_of(model, batch: TokenBatch):
    return token_loss(model.features(batch.input_ids), model.head_weight, batch.targets)


def uneven_rows() -> InstructionRows:
    """Seven rows of different lengths, with answers of different lengths."""
    generator = np.random.default_rng(0)
    documents = [generator.integers(0, 31, length).tolist() for length in (3, 12, 5, 9, 4, 11, 7)]
    prompts = np.array([1, 9, 2, 3, 3, 1, 5])
    return InstructionRows(token_store(documents), prompts, [Instruction("", "", "")] * 7)


def batches_of(*groups: list[int]) -> list[TokenBatch]:
    rows = uneven_rows()
    return [instruction_batch(rows, np.array(group), "response", CPU) for group in groups]


def weights_after(batches: list[TokenBatch], optimizer_of, n_steps: int = 2):
    model = tiny_gpt().double()
    optimizer = optimizer_of(model)
    for _ in range(n_steps):
        training_step(model, optimizer, batches, loss_of, EXACTLY, max_grad_norm=0.5)
    return model.state_dict()


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.1)


def adamw(model):
    return make_optimizer(model, training_settings())


@pytest.mark.parametrize("optimizer_of", [sgd, adamw])
@pytest.mark.parametrize(
    "groups", [([0, 1], [2, 3], [4, 5, 6]), ([0, 1, 2, 3, 4, 5], [6]), tuple([row] for row in range(7))]
)
def test_many_uneven_batches_make_the_same_update_as_one_big_batch(groups, optimizer_of):
    one = weights_after(batches_of([0, 1, 2, 3, 4, 5, 6]), optimizer_of)
    many = weights_after(batches_of(*groups), optimizer_of)
    begin = tiny_gpt().double().state_dict()
    for name, weight in one.items():
        assert not torch.equal(weight, begin[name]), name
        # float64: the same gradients added up in another order, off by 1e-16 of their size. AdamW divides a gradient by
        # its own size, which makes up to 1e-8 of that where a gradient is nearly zero; a mean of means is off by 1e-2.
        torch.testing.assert_close(many[name], weight, rtol=1e-9, atol=1e-8)


def test_the_gradient_is_the_sum_over_targets_divided_by_their_number():
    batches = batches_of([0, 1, 2], [3, 4, 5, 6])
    n_targets = sum(batch.n_targets for batch in batches)
    assert n_targets == sum(int((batch.targets != -100).sum()) for batch in batches)

    by_hand = tiny_gpt().double()
    total = sum(loss_of(by_hand, batch) for batch in batches)
    (total / n_targets).backward()
    norm = torch.sqrt(sum((parameter.grad**2).sum() for parameter in by_hand.parameters())).item()

    model = tiny_gpt().double()
    result = training_step(model, sgd(model), batches, loss_of, EXACTLY, max_grad_norm=1e9)
    for one, other in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)  # float64, added in another order
    assert result.loss_nats == pytest.approx(total.item(), rel=1e-6)  # a sum kept in fp32
    assert result.grad_norm == pytest.approx(norm, rel=1e-12)
    assert (result.n_targets, result.n_tokens) == (n_targets, sum(batch.n_tokens for batch in batches))


def test_a_long_gradient_is_clipped_and_its_length_told_as_it_was():
    model = tiny_gpt().double()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    result = training_step(model, sgd(model), batches_of([0, 1, 2]), loss_of, EXACTLY, max_grad_norm=0.01)
    moved = torch.sqrt(
        sum(((after - old) ** 2).sum() for after, old in zip(model.parameters(), before, strict=True))
    ).item()
    assert result.grad_norm > 0.1
    assert moved == pytest.approx(0.1 * 0.01, rel=1e-4)  # rate times the limit; torch adds 1e-6 to the length


def test_a_step_forgets_the_gradients_of_the_one_before():
    batches = batches_of([1, 2])
    model = tiny_gpt().double()
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    first = training_step(model, still, batches, loss_of, EXACTLY, max_grad_norm=1e9)
    second = training_step(model, still, batches, loss_of, EXACTLY, max_grad_norm=1e9)
    assert second == first


@dataclass
class Count:
    n_targets: int = 1
    n_tokens: int = 2


def test_the_loss_is_computed_in_the_precision_asked_for_in_every_batch():
    seen = []

    def loss_that_looks(model, batch):
        product = model(torch.ones(1, 2))
        seen.append(product.dtype)
        return product.float().sum()

    model = torch.nn.Linear(2, 1)
    autocast = torch.autocast("cpu", dtype=torch.bfloat16)
    training_step(model, sgd(model), [Count(), Count()], loss_that_looks, autocast, 1.0)
    training_step(model, sgd(model), [Count()], loss_that_looks, EXACTLY, 1.0)
    assert seen == [torch.bfloat16, torch.bfloat16, torch.float32]
    assert model.weight.dtype == model.weight.grad.dtype == torch.float32
