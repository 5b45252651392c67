"""The classifier's batches, scores and figures."""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers import CPU, classifier_settings, labelled_rows, tiny_gpt

from groundup.data.token_store import TokenStore
from groundup.errors import GroundupError
from groundup.model.gpt import GPTClassifier
from groundup.tasks import classify
from groundup.tasks.classes import class_names
from groundup.tasks.classify import (
    ClassifyTask,
    LabelledRows,
    as_tensors,
    class_logits,
    class_probabilities,
    learn_to_write,
)

CONTEXT = 12


@pytest.fixture
def rows(tmp_path) -> LabelledRows:
    """Messages of 1 to 20 tokens, the longer ones beyond the context; every third is spam."""
    return labelled_rows(tmp_path)


def task_of(rows: LabelledRows, seed: int = 0, classes=("ham", "spam"), **changes) -> ClassifyTask:
    return ClassifyTask(rows, rows, list(classes), classifier_settings(**changes), CONTEXT, seed, CPU)


def ends_with(end_of_text_id: int) -> SimpleNamespace:
    """As much of a tokenizer as it takes to read messages: every token is one byte long."""
    return SimpleNamespace(end_of_text_id=end_of_text_id, token_lengths=np.ones(31))


def classifier() -> GPTClassifier:
    model = GPTClassifier(tiny_gpt(), 2)
    with torch.no_grad():
        model.class_head.weight.normal_(generator=torch.Generator().manual_seed(0))
    return model.double()


def test_rows_are_read_as_they_were_written(rows):
    assert rows.texts[1] == "message 1"
    assert rows.labels[:4] == ["spam", "ham", "ham", "spam"]
    assert len(rows.store) == len(rows.texts) == len(rows.labels) == 11


def test_a_long_message_keeps_its_beginning_and_its_last_token(rows):
    whole = rows.store[1]
    assert len(whole) == 20
    assert rows.tokens(1, CONTEXT).tolist() == [*whole[: CONTEXT - 1].tolist(), whole[-1]]
    assert rows.tokens(3, CONTEXT).tolist() == rows.store[3].tolist()  # exactly as long as the context


def test_the_positive_class_is_the_second(rows):
    assert class_names(rows.labels, "spam") == ["ham", "spam"]
    assert class_names(rows.labels, "ham") == ["spam", "ham"]


@pytest.mark.parametrize("labels", [[], ["ham", "ham"]])
def test_fewer_than_two_classes_are_refused(labels):
    with pytest.raises(GroundupError, match="do not have two classes") as e:
        class_names(labels, "spam")
    assert "\n" not in str(e.value)


def in_three_classes(rows: LabelledRows) -> LabelledRows:
    """Two rows of eggs, three of ham, six of spam."""
    return LabelledRows(rows.store, rows.texts, ["spam", "ham", "spam", "eggs", "spam", "ham"] * 2)


THREE = ("eggs", "ham", "spam")


def test_of_more_than_two_classes_none_is_positive(rows):
    many = in_three_classes(rows)
    assert class_names(many.labels, "") == list(THREE)
    with pytest.raises(
        GroundupError, match="positive_label is for two labels, and these messages have 3; got spam"
    ) as e:
        class_names(many.labels, "spam")
    assert 'to mend it: set finetune_cls.positive_label to ""' in str(e.value)
    assert "\n" not in str(e.value)


def test_of_two_classes_one_is_positive(rows):
    with pytest.raises(GroundupError, match='not a label of the messages; got ""; allowed: ham or spam') as e:
        class_names(rows.labels, "")
    assert "\n" not in str(e.value)


def test_a_balanced_epoch_shows_as_many_of_each_class_as_the_rarest_has(rows):
    many = in_three_classes(rows)
    many = LabelledRows(many.store, many.texts, many.labels[:11])
    task = task_of(many, classes=THREE, epochs=12, class_balance="balanced")
    epochs = [seen_in_an_epoch(task, epoch) for epoch in range(12)]
    for seen in epochs:
        assert len(seen) == len(set(seen))
        assert Counter(many.labels[row] for row in seen) == {"eggs": 2, "ham": 2, "spam": 2}
    assert {row for seen in epochs for row in seen} == set(range(11))


def test_batches_and_loss_of_many_classes(rows):
    many = in_three_classes(rows)
    many = LabelledRows(many.store, many.texts, many.labels[:11])
    task = task_of(many, classes=THREE)
    model = GPTClassifier(tiny_gpt(), 3).double()
    for batch, chosen in zip(task.batches(0), task.epochs.rows(0), strict=True):
        assert batch.labels.tolist() == [THREE.index(many.labels[row]) for row in chosen]
        probabilities = model(batch.input_ids, batch.lengths).softmax(dim=1).tolist()
        expected = -sum(math.log(probabilities[row][label]) for row, label in enumerate(batch.labels.tolist()))
        assert task.loss(model, batch).item() == pytest.approx(expected, rel=1e-5)
    assert 0 <= task.validate(model)["accuracy"] <= 1


def test_a_label_that_no_train_message_has_is_named(rows):
    with pytest.raises(GroundupError, match="the validation messages have a label that no train message has; got eggs"):
        ClassifyTask(
            rows,
            LabelledRows(rows.store, rows.texts, ["eggs", *rows.labels[1:]]),
            ["ham", "spam"],
            classifier_settings(),
            CONTEXT,
            0,
            CPU,
        )


def test_a_positive_label_that_no_message_has_is_refused(rows):
    with pytest.raises(GroundupError, match="positive_label is not a label of the messages; got eggs; allowed: ham or"):
        class_names(rows.labels, "eggs")


@pytest.mark.parametrize(
    ("lengths", "context_length", "padded"),
    [([3, 64], 256, 64), ([1], 256, 1), ([65], 256, 96), ([9, 96], 256, 96), ([97], 256, 128), ([97], 100, 100)],
)
def test_batches_of_long_messages_have_few_shapes(lengths, context_length, padded):
    texts = [np.arange(1, length + 1) for length in lengths]
    input_ids, told = as_tensors(texts, context_length, CPU)
    assert input_ids.shape == (len(lengths), padded)
    assert told.tolist() == lengths
    for row, text in zip(input_ids.tolist(), texts, strict=True):
        assert row == [*text.tolist(), *[0] * (padded - len(text))]


def test_padding_changes_neither_scores_nor_gradients(monkeypatch):
    """Of messages with a next token to write, and classes, in the way of training."""
    generator, model = np.random.default_rng(0), GPTClassifier(tiny_gpt(context_length=80), 2, "max").double()
    texts = [generator.integers(0, 31, length) for length in (70, 12)]
    store = TokenStore.of(texts)
    rows = LabelledRows(store, ["a", "b"], ["ham", "spam"])
    found = []
    for rounded_to in (1, 32):
        monkeypatch.setattr(classify, "ROUNDED_TO", rounded_to)
        settings = classifier_settings(batch_size=2, language_weight=0.5)
        task = ClassifyTask(rows, rows, ["ham", "spam"], settings, 80, 0, CPU)
        (batch,) = task.batches(0)
        loss = task.loss(model, batch)
        found.append((batch.input_ids.shape[1], loss, *torch.autograd.grad(loss, list(model.parameters()))))
    assert [each[0] for each in found] == [70, 80]
    for one, other in zip(*(each[1:] for each in found), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_scores_are_the_same_at_any_batch_size_and_in_the_order_of_the_rows(rows, batch_size):
    model = classifier()
    together = class_logits(model, rows, batch_size)
    for index in range(len(rows.texts)):
        tokens = torch.from_numpy(rows.tokens(index, CONTEXT).astype(np.int64))[None]
        with torch.no_grad():
            alone = model(tokens, torch.tensor([tokens.shape[1]]))[0]
        # Computed in float64 and handed over in fp32: equal but for that one rounding.
        torch.testing.assert_close(together[index].double(), alone, rtol=2**-23, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_model_in_its_mode_and_uses_no_dropout(rows, training):
    model = GPTClassifier(tiny_gpt(dropout=0.5), 2).train(training)
    first = class_logits(model, rows)
    assert model.training is training
    assert torch.equal(class_logits(model, rows), first)


def seen_in_an_epoch(task: ClassifyTask, epoch: int = 0) -> list[int]:
    per_epoch = task.max_steps // task.settings.epochs
    steps = range(epoch * per_epoch, (epoch + 1) * per_epoch)
    return [int(row) for step in steps for rows in task.epochs.rows(step) for row in rows]


def test_an_epoch_shows_each_message_once(rows):
    task = task_of(rows, epochs=3)
    assert task.max_steps == 9
    for epoch in range(3):
        assert sorted(seen_in_an_epoch(task, epoch)) == list(range(11))
    assert seen_in_an_epoch(task, 0) != seen_in_an_epoch(task, 1)


def test_a_balanced_epoch_shows_all_of_the_rarer_class_and_as_many_others_drawn_anew(rows):
    task = task_of(rows, epochs=8, class_balance="balanced")
    epochs = [seen_in_an_epoch(task, epoch) for epoch in range(8)]
    for seen in epochs:
        assert len(seen) == len(set(seen)) == 8
        assert {row for row in seen if row % 3 == 0} == {0, 3, 6, 9}
    assert {row for seen in epochs for row in seen} == set(range(11))


def test_a_batch_holds_its_messages_padded_on_the_right_with_their_labels(rows):
    task = task_of(rows, grad_accum_steps=2)
    for batch, chosen in zip(task.batches(0), task.epochs.rows(0), strict=True):
        assert batch.labels.tolist() == [int(row % 3 == 0) for row in chosen]
        assert batch.lengths.tolist() == [min(CONTEXT, len(rows.store[row])) for row in chosen]
        assert batch.n_targets == len(chosen)
        assert batch.n_tokens == sum(batch.lengths.tolist())
        for ids, length, row in zip(batch.input_ids.tolist(), batch.lengths.tolist(), chosen, strict=True):
            assert ids[:length] == rows.tokens(row, CONTEXT).tolist()
            assert len(ids) == max(batch.lengths)


def test_the_loss_is_summed_over_the_messages(rows):
    task, model = task_of(rows), classifier()
    [batch] = task.batches(0)
    probabilities = model(batch.input_ids, batch.lengths).softmax(dim=1).tolist()
    expected = -sum(math.log(probabilities[index][label]) for index, label in enumerate(batch.labels.tolist()))
    assert task.loss(model, batch).item() == pytest.approx(expected, rel=1e-5)  # the loss is formed in fp32


def test_the_messages_own_tokens_pull_on_the_weights_and_do_not_show_in_the_loss(rows):
    plain, both, model = task_of(rows, batch_size=11), task_of(rows, batch_size=11, language_weight=0.5), classifier()
    [batch] = plain.batches(0)
    loss = both.loss(model, batch)
    assert loss.item() == plain.loss(model, batch).item()
    loss.backward()
    found = {name: parameter.grad for name, parameter in model.named_parameters()}

    # Said again with one message at a time and the logarithm of the probability of each token but its first.
    model.zero_grad()
    surprises = []
    for tokens, length in zip(batch.input_ids, batch.lengths.tolist(), strict=True):
        probabilities = model.trunk(tokens[None, :length])[0].softmax(dim=1)
        surprises += [-probabilities[place - 1, tokens[place]].log() for place in range(1, length)]
    (plain.loss(model, batch) + 0.5 * 11 * sum(surprises) / len(surprises)).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_messages_of_one_token_have_nothing_to_write(rows):
    task, model = task_of(rows, batch_size=1, language_weight=2.0), classifier()
    batch = next(batch for step in range(11) for batch in task.batches(step) if batch.n_tokens == 1)
    loss = task.loss(model, batch)
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(torch.isfinite(each.grad).all() for each in model.parameters() if each.grad is not None)


def test_validation_gives_the_mean_loss_and_the_share_of_right_answers(rows):
    model = classifier()
    figures = task_of(rows).validate(model)
    probabilities = class_logits(model, rows).double().softmax(dim=1)
    wanted = [int(index % 3 == 0) for index in range(11)]
    losses = [-math.log(probabilities[index, label]) for index, label in enumerate(wanted)]
    right = sum(int(probabilities[index, 1] > 0.5) == label for index, label in enumerate(wanted))
    assert figures == pytest.approx({"loss_nats": sum(losses) / 11, "accuracy": right / 11}, rel=1e-5)


def test_the_probabilities_of_the_classes_are_those_of_softmax():
    logits = torch.tensor([[0.0, 0.0], [math.log(1.0), math.log(3.0)], [50.0, -50.0]])
    assert class_probabilities(logits)[:, 1] == pytest.approx([0.5, 0.75, math.exp(-100)], rel=1e-6)
    of_three = class_probabilities(torch.tensor([[0.0, math.log(2.0), math.log(5.0)]]))
    assert of_three.tolist() == [pytest.approx([1 / 8, 2 / 8, 5 / 8], rel=1e-6)]


def test_a_missing_side_is_refused(tmp_path):
    with pytest.raises(GroundupError, match="no such file"):
        LabelledRows.load(tmp_path / "train")


def test_a_model_learns_to_write_messages_before_it_sorts_them(rows):
    settings = classifier_settings(language_steps=60, language_learning_rate=3e-2, trainable="head", warmup_steps=0)
    outcome = learn_to_write(model := tiny_gpt(std=None), rows, rows, ends_with(30), settings, seed=0)
    assert outcome.steps == outcome.best_step == 60
    assert outcome.validation_rows[0]["loss_nats"] < math.log(31) - 0.3  # chance is log 31
    again = learn_to_write(other := tiny_gpt(std=None), rows, rows, ends_with(30), settings, seed=0)
    assert again.validation_rows == outcome.validation_rows
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_too_few_messages_to_write_are_refused_with_the_key_that_turns_it_off(rows):
    with pytest.raises(GroundupError, match="finetune_cls: the text of the train messages is too short") as refused:
        learn_to_write(
            tiny_gpt(),
            rows,
            rows,
            ends_with(30),
            classifier_settings(language_steps=1, language_batch_size=500),
            seed=0,
        )
    assert "finetune_cls.language_steps to 0" in str(refused.value)
