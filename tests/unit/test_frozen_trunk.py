"""A frozen part of the trunk runs once, and the training is the same."""

import numpy as np
import pytest
import torch
from helpers import (
    CPU,
    byte_tokenizer,
    classifier_settings,
    instruct_settings,
    instruction_rows,
    labelled_rows,
    tiny_gpt,
)

from groundup.config import Pooling
from groundup.model.gpt import GPT, GPTClassifier, choose_trainable
from groundup.tasks import classify, frozen_trunk, instruct
from groundup.tasks.classify import ClassifyTask, LabelledRows, class_logits
from groundup.tasks.frozen_trunk import FrozenTrunk
from groundup.tasks.instruct import InstructionRows, InstructTask, fine_tune, response_loss
from groundup.train.loop import train

CONTEXT, N_LAYERS = 12, 3


@pytest.fixture
def rows(tmp_path) -> LabelledRows:
    """Eleven messages of 1 to 20 tokens, the longer ones beyond the context."""
    return labelled_rows(tmp_path)


def classifier(trainable: str, pooling: Pooling = "last") -> GPTClassifier:
    torch.manual_seed(1)
    model = GPTClassifier(tiny_gpt(n_layers=N_LAYERS), 2, pooling)
    choose_trainable(model, trainable)
    return model


def texts_of(rows: LabelledRows) -> list[np.ndarray]:
    return [rows.tokens(index, CONTEXT) for index in range(len(rows.labels))]


def task_of(rows: LabelledRows, **changes) -> ClassifyTask:
    plain = {"dropout": 0.0, "language_weight": 0.0, "epochs": 3, "batch_size": 4, "learning_rate": 0.01} | changes
    return ClassifyTask(rows, rows, ["ham", "spam"], classifier_settings(**plain), CONTEXT, 0, CPU)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("first_block", range(N_LAYERS + 1))
def test_features_of_the_last_tokens_are_those_of_all_tokens_there(first_block, bias):
    trunk = tiny_gpt(n_layers=N_LAYERS, bias=bias).double()
    input_ids, lengths = torch.randint(0, 31, (4, 9)), torch.tensor([9, 1, 4, 7])
    whole = trunk.features(input_ids)[torch.arange(4), lengths - 1]
    with torch.no_grad():
        hidden = trunk.hidden(input_ids, first_block)
    # What stands behind a text's end must not matter.
    hidden[torch.arange(9) >= lengths[:, None]] = 100.0
    ours = trunk.features_of_last(hidden, lengths, first_block)
    torch.testing.assert_close(ours, whole)
    trained = [*trunk.blocks[first_block:].parameters(), *trunk.final_norm.parameters()]
    upstream = torch.randn_like(whole)
    for one, other in zip(
        torch.autograd.grad(ours, trained, upstream), torch.autograd.grad(whole, trained, upstream), strict=True
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("trainable", "frozen"), [("head", N_LAYERS), ("last_block", 2), ("last_two_blocks", 1), ("all", 0)]
)
def test_the_frozen_blocks_are_those_before_the_first_that_trains(trainable, frozen):
    assert classifier(trainable).trunk.n_frozen_blocks == frozen


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("trainable", ["head", "last_block", "last_two_blocks"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_training_is_the_same_and_the_frozen_blocks_run_once(rows, trainable, precision, pooling, monkeypatch):
    outcomes, logits, calls = [], [], []
    for cached in (True, False):
        monkeypatch.setattr(classify, "fits", lambda *_, cached=cached: cached)
        model, task = classifier(trainable, pooling), task_of(rows, trainable=trainable, precision=precision)
        count: list[int] = []
        model.trunk.blocks[0].register_forward_hook(lambda *_, count=count: count.append(1))
        outcomes.append(train(model, task, task.settings, seed=0))
        calls.append(len(count))
        logits.append(class_logits(model, rows))
    assert calls[0] == 2  # once for each side: eleven texts are one batch
    assert calls[1] >= task.max_steps
    tolerance = 1e-5 if precision == "fp32" else 0.03
    for one, other in zip(outcomes[0].train_rows, outcomes[1].train_rows, strict=True):
        assert one.loss_nats == pytest.approx(other.loss_nats, rel=tolerance)
        assert one.tokens == other.tokens
    torch.testing.assert_close(logits[0], logits[1], rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("change", [{"dropout": 0.1}, {"language_weight": 0.5}, {"trainable": "all"}])
def test_where_it_is_another_each_time_nothing_is_kept(rows, change, monkeypatch):
    monkeypatch.setattr(classify, "FrozenTrunk", None)  # to make one would fail
    task = task_of(rows, **{"trainable": "last_block"} | change)
    train(classifier(task.settings.trainable), task, task.settings, seed=0)


def test_more_text_than_may_be_kept_runs_through_the_trunk_each_time(rows, monkeypatch):
    texts, trunk = texts_of(rows), classifier("head").trunk
    n_bytes = 4 * trunk.config.d_model * sum(map(len, texts))
    monkeypatch.setattr(frozen_trunk, "LARGEST", n_bytes)
    assert frozen_trunk.fits(trunk, texts)
    monkeypatch.setattr(frozen_trunk, "LARGEST", n_bytes - 1)
    assert not frozen_trunk.fits(trunk, texts)


def test_validation_scores_come_from_what_is_kept(rows):
    model = classifier("last_block").eval()
    frozen = FrozenTrunk(model.trunk, texts_of(rows))
    torch.testing.assert_close(class_logits(model, rows, frozen=frozen), class_logits(model, rows))


# The fourth does not fit into the context.
ASKED = [("a:", "x"), ("bcd:", "yz"), ("e:", "uvwxyz"), ("far too long:", "xyz"), ("fg:", "xyzxyz"), ("h:", "y")]


@pytest.fixture
def instructions(tmp_path) -> InstructionRows:
    rows = [{"instruction": asked, "input": "", "output": answered} for asked, answered in ASKED]
    return instruction_rows(tmp_path, rows)


def follower(tie_weights: bool = False, seed: int = 0) -> GPT:
    return tiny_gpt(seed, vocab_size=257, n_layers=N_LAYERS, tie_weights=tie_weights)


def instruct_task(rows: InstructionRows, **changes) -> InstructTask:
    plain = {"epochs": 3, "trainable": "last_block", "learning_rate": 0.01} | changes
    return InstructTask(rows, rows, byte_tokenizer(), instruct_settings(**plain), CONTEXT, 0, CPU)


@pytest.mark.parametrize("first_block", range(N_LAYERS + 1))
def test_features_of_what_stood_before_a_block_are_those_of_the_tokens(first_block):
    trunk = tiny_gpt(n_layers=N_LAYERS).double()
    input_ids = torch.randint(0, 31, (4, 9))
    mask = torch.ones(9, 9, dtype=torch.bool).tril()
    mask[5:, :5] = False
    whole = trunk.features(input_ids, mask=mask)
    with torch.no_grad():
        x = trunk.token_embedding(input_ids) + trunk.position_embedding(torch.arange(9))
        for block in trunk.blocks[:first_block]:
            x = block(x, mask=mask)
    torch.testing.assert_close(trunk.features_of(x, first_block, mask), whole)


@pytest.mark.parametrize("trainable", ["head", "last_block", "last_two_blocks"])
@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_following_instructions_trains_the_same_and_the_frozen_blocks_run_once(
    instructions, trainable, packing, precision, monkeypatch
):
    outcomes, calls = [], []
    for cached in (True, False):
        monkeypatch.setattr(instruct, "fits", lambda *_, cached=cached: cached)
        task = instruct_task(instructions, trainable=trainable, packing=packing, precision=precision)
        assert packing == any(batch.mask is not None for batch in task.batches(0) + task.batches(1))
        model, count = follower(), []
        model.blocks[0].register_forward_hook(lambda *_, count=count: count.append(1))
        outcomes.append(fine_tune(model, task, task.settings, seed=0))
        calls.append(len(count))
    assert calls[0] == 2  # once for each side: the rows that fit are one batch
    assert calls[1] >= task.max_steps
    # fp32: products of other shapes may round otherwise, and the updates add that up. bf16 rounds to 2^-9 each time.
    tolerance = 1e-6 if precision == "fp32" else 0.01
    for ours, theirs in zip(outcomes[0].train_rows, outcomes[1].train_rows, strict=True):
        assert ours.loss_nats == pytest.approx(theirs.loss_nats, rel=tolerance)
        assert (ours.tokens, ours.step) == (theirs.tokens, theirs.step)
    for ours, theirs in zip(outcomes[0].validation_rows, outcomes[1].validation_rows, strict=True):
        assert ours == pytest.approx(theirs, rel=tolerance)


@pytest.mark.parametrize("change", [{"dropout": 0.1}, {"trainable": "all"}, {"trainable": "lora"}])
def test_of_instructions_nothing_is_kept_where_it_is_another_each_time(instructions, change, monkeypatch):
    monkeypatch.setattr(instruct, "FrozenTrunk", None)  # to make one would fail
    task = instruct_task(instructions, **change)
    fine_tune(follower(), task, task.settings, seed=0)


def test_of_a_tied_head_nothing_is_kept_since_the_embedding_trains_with_it(instructions, monkeypatch):
    monkeypatch.setattr(instruct, "FrozenTrunk", None)
    task = instruct_task(instructions)
    fine_tune(follower(tie_weights=True), task, task.settings, seed=0)


def test_of_instructions_nothing_is_kept_if_that_is_turned_off(instructions, monkeypatch):
    monkeypatch.setattr(instruct, "FrozenTrunk", None)
    monkeypatch.setattr(instruct, "taken", lambda path: path != "frozen_trunk")
    task = instruct_task(instructions, epochs=1)
    fine_tune(follower(), task, task.settings, seed=0)


def test_what_is_kept_of_a_model_does_not_serve_another(instructions):
    task = instruct_task(instructions, epochs=1)
    fine_tune(follower(), task, task.settings, seed=0)
    after_another = fine_tune(follower(seed=1), task, task.settings, seed=0)
    alone = fine_tune(follower(seed=1), instruct_task(instructions, epochs=1), task.settings, seed=0)
    assert after_another.metrics() == alone.metrics()


def test_the_loss_of_answers_comes_from_what_is_kept(instructions):
    model = follower()
    choose_trainable(model, "last_block")
    texts = [instructions.store[row][:-1] for row in range(len(ASKED))]
    texts[3] = texts[3][:0]
    frozen = FrozenTrunk(model, texts)
    expected = response_loss(model, instructions, 2)
    assert response_loss(model, instructions, 2, frozen) == pytest.approx(expected, rel=1e-6)
    with pytest.raises(IndexError):  # it reads nothing else
        response_loss(model, instructions, 2, FrozenTrunk(model, texts[:2]))


def test_of_an_empty_text_nothing_is_computed(monkeypatch):
    monkeypatch.setattr(frozen_trunk, "BATCH_SIZE", 1)
    trunk, calls = classifier("head").trunk, []
    trunk.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    frozen = FrozenTrunk(trunk, [np.array([1, 2]), np.array([], dtype=np.int64), np.array([3])])
    assert len(calls) == 2
    assert frozen.features([[2, 0]]).shape == (1, 3, trunk.config.d_model)
