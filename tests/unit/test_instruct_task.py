"""Exactly which tokens an instruction teaches, and how answers are written."""

import numpy as np
import pytest
import torch
from helpers import CPU, byte_tokenizer, instruct_settings, tiny_gpt

from groundup.data.instructions import PROMPT_LENGTHS_FILE, Instruction
from groundup.data.rows import ROWS_FILE, write_rows
from groundup.data.token_store import write_token_store
from groundup.errors import GroundupError
from groundup.generate import generate
from groundup.model.gpt import choose_trainable
from groundup.model.loss import IGNORE_INDEX, token_loss
from groundup.tasks.instruct import (
    InstructionRows,
    InstructTask,
    answers,
    fine_tune,
    instruction_batch,
    response_loss,
)
from groundup.train.precision import autocast

CONTEXT = 12
END = byte_tokenizer().end_of_text_id

# Prompts and answers. The ? in the third becomes the end of text; the fifth does not fit into the context.
TEXTS = [
    ("ab:", "cd"),
    ("x:", "y"),
    ("a?b:", "z"),
    ("longer:", "abc"),
    ("far too long:", "abcdefgh"),
    ("q:", "rstuvwxyz"),
]


@pytest.fixture
def rows(tmp_path) -> InstructionRows:
    tokenizer = byte_tokenizer()
    documents, prompt_lengths = [], []
    for prompt, answer in TEXTS:
        ids = tokenizer.encode(prompt)
        question_mark = tokenizer.encode("?")[0]
        prompt_ids = [END if token == question_mark else token for token in ids]
        documents.append([*prompt_ids, *tokenizer.encode(answer), END])
        prompt_lengths.append(len(prompt_ids))
    write_token_store(tmp_path, documents, tokenizer.vocab_size)
    np.save(tmp_path / PROMPT_LENGTHS_FILE, np.array(prompt_lengths))
    write_rows(tmp_path / ROWS_FILE, [{"instruction": prompt, "input": "", "output": out} for prompt, out in TEXTS])
    return InstructionRows.load(tmp_path)


def model_of_bytes(**changes):
    return tiny_gpt(vocab_size=257, context_length=CONTEXT, **changes)


def task_of(rows: InstructionRows, seed: int = 0, **changes) -> InstructTask:
    return InstructTask(rows, rows, byte_tokenizer(), instruct_settings(**changes), CONTEXT, seed, CPU)


def test_exactly_the_answer_and_its_end_of_text_are_asked(rows):
    tokenizer = byte_tokenizer()
    batch = instruction_batch(rows, np.arange(4), "response", CPU)
    asked = [[token for token in row if token != IGNORE_INDEX] for row in batch.targets.tolist()]
    assert asked == [[*tokenizer.encode(answer), END] for _, answer in TEXTS[:4]]
    for index, (prompt, _) in enumerate(TEXTS[:4]):
        before = len(prompt) - 1
        assert batch.targets[index, :before].eq(IGNORE_INDEX).all()
        assert batch.targets[index, before : before + len(asked[index])].ne(IGNORE_INDEX).all()
    assert batch.n_targets == sum(map(len, asked))


def test_with_the_loss_on_all_the_prompt_is_asked_too_and_padding_still_is_not(rows):
    batch = instruction_batch(rows, np.arange(4), "all", CPU)
    asked = [[token for token in row if token != IGNORE_INDEX] for row in batch.targets.tolist()]
    assert asked == [rows.store[index][1:].tolist() for index in range(4)]
    assert asked[2][-1] == END  # learned, though padding stands behind it
    assert batch.n_targets == batch.n_tokens == sum(map(len, asked))


@pytest.mark.parametrize("loss_on", ["response", "all"])
def test_each_target_is_the_token_after_its_input(rows, loss_on):
    batch = instruction_batch(rows, np.array([3, 0]), loss_on, CPU)
    for index, row in enumerate((3, 0)):
        tokens = rows.store[row].tolist()
        assert batch.input_ids[index, : len(tokens) - 1].tolist() == tokens[:-1]
        for place, target in enumerate(batch.targets[index].tolist()):
            assert target in (IGNORE_INDEX, tokens[place + 1] if place + 1 < len(tokens) else IGNORE_INDEX)
    assert batch.n_tokens == sum(len(rows.store[row]) - 1 for row in (3, 0))


def test_an_end_of_text_inside_a_prompt_changes_nothing(rows):
    assert END in rows.prompt(2)
    batch = instruction_batch(rows, np.array([2]), "response", CPU)
    assert (batch.targets != IGNORE_INDEX).sum().item() == 2


def test_padding_changes_no_loss(rows):
    model = model_of_bytes().double()
    together = instruction_batch(rows, np.array([1, 5]), "response", CPU)
    alone = [instruction_batch(rows, np.array([row]), "response", CPU) for row in (1, 5)]
    task = task_of(rows)
    # float64: the same terms in another order.
    assert task.loss(model, together).item() == pytest.approx(
        sum(task.loss(model, batch).item() for batch in alone), rel=1e-12
    )
    moved = together.input_ids.clone()
    moved[0, 3:] = 77  # what stands in the padding
    other = token_loss(model.features(moved), model.head_weight, together.targets)
    assert other.item() == pytest.approx(task.loss(model, together).item(), rel=1e-12)


def test_rows_that_do_not_fit_into_the_context_are_left_out(rows):
    assert rows.fitting(CONTEXT).tolist() == [0, 1, 2, 3, 5]
    longest = len(rows.store[5])
    assert 5 in rows.fitting(longest - 1)
    assert 5 not in rows.fitting(longest - 2)
    task = task_of(rows, epochs=2, batch_size=2)
    assert task.max_steps == 6
    for epoch in range(2):
        seen = [int(row) for step in range(3) for chosen in task.epochs.rows(3 * epoch + step) for row in chosen]
        assert sorted(seen) == [0, 1, 2, 3, 5]


def test_if_no_row_fits_it_says_what_to_do(rows):
    with pytest.raises(GroundupError, match=r"no instruction fits into model\.context_length; got the shortest") as e:
        InstructTask(rows, rows, byte_tokenizer(), instruct_settings(), 2, 0, CPU)
    assert "\n" not in str(e.value)


def test_a_step_s_batches_are_those_of_its_epoch(rows):
    task = task_of(rows, batch_size=1, grad_accum_steps=2, loss_on="all")
    for batch, chosen in zip(task.batches(1), task.epochs.rows(1), strict=True):
        assert torch.equal(batch.targets, instruction_batch(rows, chosen, "all", CPU).targets)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_validation_loss_is_per_token_of_the_answers_that_fit(rows, batch_size):
    model = model_of_bytes().double()
    total, count = 0.0, 0
    for row in (0, 1, 2, 3, 5):
        tokens = torch.from_numpy(rows.store[row].astype(np.int64))
        with torch.no_grad():
            log_probabilities = model(tokens[None, :-1])[0].log_softmax(dim=1)
        for place in range(int(rows.prompt_lengths[row]), len(tokens)):
            total -= log_probabilities[place - 1, tokens[place]].item()
            count += 1
    # Each batch is scored in fp32 in the end, whatever the model: a few roundings of 2^-24.
    assert response_loss(model, rows, batch_size) == pytest.approx(total / count, rel=1e-6)
    assert task_of(rows, batch_size=batch_size).validate(model) == pytest.approx({"loss_nats": total / count}, rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_scoring_leaves_the_model_in_its_mode_and_uses_no_dropout(rows, training):
    model = model_of_bytes(dropout=0.5).train(training)
    first = response_loss(model, rows, 2)
    assert model.training is training
    assert response_loss(model, rows, 2) == first


@pytest.mark.parametrize("batch_size", [1, 2, 4])
def test_answers_come_in_the_order_asked_for_and_as_if_each_were_alone(rows, batch_size):
    model, tokenizer = model_of_bytes().double(), byte_tokenizer()
    chosen = [4, 0, 3, 1]
    given = answers(model, rows, chosen, tokenizer, 7, batch_size)
    for row, answer in zip(chosen, given, strict=True):
        prompt = rows.prompt(row).tolist()[-(CONTEXT - 1) :]  # of a long prompt, its end
        [tokens] = generate(model, [prompt], 7, stop_id=END)
        assert answer.text == tokenizer.decode(tokens).strip()
        assert answer.ended == (len(tokens) < 7)


def test_an_answer_that_ends_by_itself_says_so(rows):
    model = model_of_bytes()
    with torch.no_grad():  # a model that sees the end of text everywhere: its score is the largest feature
        model.final_norm.weight.zero_()
        model.final_norm.bias.zero_()
        model.final_norm.bias[0] = 1.0
        model.token_embedding.weight[:, 0] = 0.0
        model.token_embedding.weight[END, 0] = 5.0
    [answer] = answers(model, rows, [0], byte_tokenizer(), 4, 1)
    assert (answer.text, answer.ended) == ("", True)


def test_the_sample_shows_the_first_instruction_that_fits_with_the_model_s_answer(rows):
    model = model_of_bytes()
    sample = task_of(rows, sample_tokens=5).sample(model)
    [answer] = answers(model, rows, [0], byte_tokenizer(), 5, 1)
    assert sample == f"ab:\n{answer.text}"
    assert task_of(rows, sample_tokens=0).sample(model) is None


def test_rows_are_read_as_they_were_written(rows):
    assert rows.rows[1] == Instruction("x:", "", "y")
    assert byte_tokenizer().decode(rows.prompt(3).tolist()) == "longer:"


def test_a_side_without_prompt_lengths_is_refused(rows, tmp_path):
    (tmp_path / PROMPT_LENGTHS_FILE).unlink()
    with pytest.raises(GroundupError, match=f"{PROMPT_LENGTHS_FILE}: no such file"):
        InstructionRows.load(tmp_path)


def test_fine_tuning_trains_the_layers_that_the_settings_choose(rows):
    model = model_of_bytes(n_layers=3)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    task = task_of(rows, trainable="last_block", dropout=0.25)
    outcome = fine_tune(model, task, task.settings, seed=0)
    changed = {
        name.split(".")[1] for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])
    }
    assert outcome.steps == task.max_steps
    assert "2" in changed
    assert not {"0", "1"} & changed
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.25}


CHOSEN = np.array([1, 5, 0, 3, 2])  # all that fit, and so that a bin holds two or three and others are padded


def packed_and_alone(rows: InstructionRows, loss_on: str = "response", pack_into: int = 2 * CONTEXT):
    return (instruction_batch(rows, CHOSEN, loss_on, CPU, limit) for limit in (pack_into, None))


def by_text(batch, values: torch.Tensor) -> dict[int, torch.Tensor]:
    """What stands at the tokens of each row, by its number."""
    found = {}
    for bin_number, rows_of_bin in enumerate(batch.bins):
        start = 0
        for row in rows_of_bin.tolist():
            text, _ = TEXTS[row]
            n_tokens = len(text) + len(TEXTS[row][1])
            found[row] = values[bin_number, start : start + n_tokens]
            start += n_tokens
    return found


@pytest.mark.parametrize("loss_on", ["response", "all"])
def test_packed_rows_have_the_tokens_targets_and_positions_that_they_have_alone(rows, loss_on):
    packed, alone = packed_and_alone(rows, loss_on)
    assert packed.input_ids.numel() < alone.input_ids.numel()
    assert any(len(each) > 1 for each in packed.bins)
    for values in ("input_ids", "targets"):
        ours, theirs = (by_text(batch, getattr(batch, values)) for batch in (packed, alone))
        assert ours.keys() == theirs.keys() == set(CHOSEN.tolist())
        assert all(torch.equal(ours[row], theirs[row]) for row in ours)
    positions = by_text(packed, packed.positions)
    assert all(each.tolist() == list(range(len(each))) for each in positions.values())
    assert (packed.n_targets, packed.n_tokens) == (alone.n_targets, alone.n_tokens)
    assert (packed.targets != IGNORE_INDEX).sum() == packed.n_targets  # nothing is asked of the padding


def test_rows_that_share_nothing_are_as_without_packing(rows):
    chosen = np.array([0, 2])  # of one length
    shared, alone = (instruction_batch(rows, chosen, "response", CPU, limit) for limit in (CONTEXT, None))
    assert shared.mask is shared.positions is alone.mask is None
    assert torch.equal(shared.input_ids, alone.input_ids)
    assert torch.equal(shared.targets, alone.targets)
    assert [each.tolist() for each in shared.bins] == [[0], [2]]


def test_a_packed_token_looks_at_its_own_text_up_to_itself(rows):
    packed, _ = packed_and_alone(rows)
    n_bins, width = packed.input_ids.shape
    text_of = torch.full((n_bins, width), -1)
    for bin_number, rows_of_bin in enumerate(packed.bins):
        numbers = [row for row in rows_of_bin.tolist() for _ in range(sum(map(len, TEXTS[row])))]
        text_of[bin_number, : len(numbers)] = torch.tensor(numbers)
    assert (text_of == -1).any()
    for bin_number in range(n_bins):
        for query in range(width):
            for key in range(width):
                same_text = text_of[bin_number, query] == text_of[bin_number, key]
                assert packed.mask[bin_number, 0, query, key] == (same_text and key <= query)


@pytest.mark.parametrize("trainable", ["all", "lora"])
@pytest.mark.parametrize(
    ("dtype", "precision", "tolerance"),
    [
        (torch.float64, "fp32", 1e-12),
        (torch.float32, "fp32", 1e-6),
        # bf16 rounds a number by up to 2^-9 of it; sums that run in another order may round the other way.
        (torch.float32, "bf16", 2**-8),
    ],
)
def test_packed_rows_have_the_losses_and_gradients_that_they_have_alone(rows, dtype, precision, tolerance, trainable):
    found = []
    for batch in packed_and_alone(rows, "all"):
        model = model_of_bytes()
        choose_trainable(model, trainable, instruct_settings().lora)
        model.to(dtype)
        with autocast(precision, CPU):
            features = model.features(batch.input_ids, positions=batch.positions, mask=batch.mask)
            each = {
                row: token_loss(of_row, model.head_weight, targets)
                for (row, of_row), targets in zip(
                    by_text(batch, features).items(), by_text(batch, batch.targets).values(), strict=True
                )
            }
            loss = task_of(rows).loss(model, batch)
        loss.backward()
        assert torch.isfinite(features).all()  # the padding too, which must have something to look at
        gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
        found.append((each, loss, gradient / batch.n_targets))
    (ours, our_loss, our_gradient), (theirs, their_loss, their_gradient) = found
    for row in theirs:
        torch.testing.assert_close(ours[row], theirs[row], rtol=tolerance, atol=0)
    torch.testing.assert_close(our_loss, their_loss, rtol=tolerance, atol=0)
    assert (our_gradient - their_gradient).norm() <= tolerance * their_gradient.norm()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_packed_row_s_neighbours_are_changes_nothing(rows, precision):
    packed, _ = packed_and_alone(rows)
    model = model_of_bytes()
    changed = packed.input_ids.clone()
    shared = next(number for number, each in enumerate(packed.bins) if len(each) > 1)
    n_first = sum(map(len, TEXTS[packed.bins[shared][0]]))
    changed[shared, :n_first] = 77  # the first text of a bin that others follow in
    with torch.no_grad(), autocast(precision, CPU):
        before, after = (
            model.features(ids, positions=packed.positions, mask=packed.mask) for ids in (packed.input_ids, changed)
        )
    assert torch.equal(before[shared, n_first:], after[shared, n_first:])
    assert not torch.equal(before[shared, :n_first], after[shared, :n_first])


@pytest.mark.parametrize("changes", [{}, {"trainable": "lora"}, {"grad_accum_steps": 2}])
def test_a_training_with_packed_rows_is_the_same_training(rows, changes):
    outcomes = []
    for packing in (True, False):
        task = task_of(rows, packing=packing, epochs=3, batch_size=4, learning_rate=1e-3, **changes)
        if packing:
            assert any(batch.mask is not None for batch in task.batches(0) + task.batches(1))
        outcomes.append(fine_tune(model_of_bytes(), task, task.settings, seed=0))
    ours, theirs = outcomes
    # fp32, over three epochs whose roundings add up through the updates.
    assert [row.loss_nats for row in ours.train_rows] == pytest.approx(
        [row.loss_nats for row in theirs.train_rows], rel=1e-5
    )
    assert [row.tokens for row in ours.train_rows] == [row.tokens for row in theirs.train_rows]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_packed_rows_train_with_dropout_too(rows, precision):
    task = task_of(rows, packing=True, dropout=0.3, precision=precision)
    outcome = fine_tune(model_of_bytes(), task, task.settings, seed=0)
    assert all(np.isfinite(row.loss_nats) for row in outcome.train_rows)
