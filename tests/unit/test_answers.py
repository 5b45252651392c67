"""How good one answer is, against brute force, and what the figures over all of them are."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import CPU, byte_tokenizer, instruction_rows, tiny_gpt
from report_helpers import ANSWER

from groundup.config import EvaluateParams
from groundup.data.instructions import Instruction
from groundup.data.sample.skills import SKILLS
from groundup.evaluation.answer_figures import answer_figures, interval_of_mean, versus
from groundup.evaluation.answers import (
    is_checkable,
    length_ratio,
    longest_common_subsequence,
    repeats_itself,
    rouge_l,
    token_f1,
)
from groundup.evaluation.instructions import evaluate_instructions, is_memorised, training_answers
from groundup.evaluation.intervals import mcnemar_p_value, wilson_interval
from groundup.evaluation.response_loss import response_losses
from groundup.params_file import load_params
from groundup.tasks.instruct import answers, response_loss
from groundup.train.checkpoint import save_model

ROOT = Path(__file__).resolve().parents[2]
CONTEXT = 24


def is_within(short: Sequence[str], long: Sequence[str]) -> bool:
    rest = iter(long)
    return all(word in rest for word in short)


def test_the_longest_common_subsequence_is_that_of_brute_force() -> None:
    draw = random.Random(0)
    for _ in range(300):
        one, other = ([draw.choice("abc") for _ in range(draw.randrange(8))] for _ in range(2))
        found = max(n for n in range(len(one) + 1) for kept in combinations(one, n) if is_within(kept, other))
        assert longest_common_subsequence(one, other) == found


@pytest.mark.parametrize(
    ("answer", "wanted", "score"),
    [
        ("The fox is red.", "the fox is RED", 1.0),
        ("red is fox", "fox is red", 2 / 6),  # the same words, but only one in order
        ("fox red", "fox is red", 4 / 5),
        ("blue", "red", 0.0),
        ("", "red", 0.0),
        ("", "the", 1.0),
        ("東京 です", "東京 です", 1.0),
    ],
)
def test_rouge_l_is_the_f1_of_words_in_order(answer: str, wanted: str, score: float) -> None:
    assert rouge_l(answer, wanted) == pytest.approx(score)


def test_order_can_only_cost() -> None:
    draw = random.Random(1)
    for _ in range(200):
        one, other = (" ".join(draw.choice("abcd") for _ in range(draw.randrange(7))) for _ in range(2))
        assert rouge_l(one, other) <= token_f1(one, other) + 1e-12


@pytest.mark.parametrize(
    ("answer", "repeats"),
    [
        ("lives lives lives lives lives lives", True),
        ("lives lives lives lives lives", False),
        ("a b c d x A B C D y a b c d", True),
        ("a b c d x a b c d", False),
        ("a b c x a b c y a b c z a b c", False),
        ("the the the the the the", True),  # articles are words here
        ("three", False),
        ("", False),
    ],
)
def test_four_words_three_times_are_a_repetition(answer: str, repeats: bool) -> None:
    assert repeats_itself(answer) is repeats


def test_the_length_is_counted_in_words() -> None:
    assert length_ratio("one two three", "one two") == 1.5
    assert length_ratio("", "one two") == 0.0
    assert length_ratio("one", "") == 1.0


def test_all_of_the_sample_world_and_short_answers_elsewhere_can_be_checked() -> None:
    long = "It depends on many things"
    assert all(is_checkable(long, kind) for kind in SKILLS)
    assert [is_checkable(wanted, kind) for wanted, kind in ((long, "essay"), (long, ""), ("Yes, it is", ""))] == [
        False,
        False,
        True,
    ]


def sample(right: bool = False, **changes: Any) -> dict[str, Any]:
    return ANSWER | {"exact_match": right, "token_f1": float(right), "rouge_l": float(right)} | changes


def figures_of(samples: list[dict[str, Any]]) -> dict[str, Any]:
    return answer_figures(samples, 0.95, 0)


def test_answers_are_counted_by_kind_and_facts_by_themselves() -> None:
    right = {"fact": [True, False, False, False], "sum": [True, True], "": [True]}
    samples = [sample(each, kind=kind) for kind, all_of_it in right.items() for each in all_of_it]
    figures = figures_of(samples)
    low, high = wilson_interval(1, 4, 0.95)
    assert figures["by_kind"]["fact"] == {
        "rows": 4,
        "contents": 4,
        "exact_match": 0.25,
        "exact_match_low": low,
        "exact_match_high": high,
        "token_f1": 0.25,
        "rouge_l": 0.25,
    }
    assert (figures["by_kind"]["sum"]["rows"], figures["by_kind"]["sum"]["exact_match"]) == (2, 1.0)
    assert [figures[f"facts_exact_match{end}"] for end in ("", "_low", "_high")] == [0.25, low, high]
    assert figures["exact_match"] == pytest.approx(4 / 7)
    assert (figures["exact_match_low"], figures["exact_match_high"]) == wilson_interval(4, 7, 0.95)
    without_facts = figures_of(samples[4:])
    assert "facts_exact_match" not in without_facts
    assert set(without_facts["by_kind"]) == {"sum"}
    assert "by_kind" not in figures_of(samples[6:])


def test_rates_and_means_are_over_all_answers() -> None:
    samples = [
        sample(True, ended=False, repeats=True, length_ratio=4.0, new_answer=False),
        sample(memorised=True, length_ratio=1.0, checkable=False),
        sample(length_ratio=0.5, checkable=False),
        sample(length_ratio=0.5, checkable=False, token_f1=0.5, rouge_l=0.25),
    ]
    figures = figures_of(samples)
    assert {key: figures[key] for key in ("ended", "repeats", "memorised", "token_f1", "rouge_l")} == {
        "ended": 0.75,
        "repeats": 0.25,
        "memorised": 0.25,
        "token_f1": 0.375,
        "rouge_l": 0.3125,
    }
    assert (figures["length_ratio_mean"], figures["length_ratio_median"]) == (1.5, 0.75)
    low, high = wilson_interval(1, 1, 0.95)
    assert figures["checkable"] == {"rows": 1, "exact_match": 1.0, "low": low, "high": high}
    low, high = wilson_interval(0, 3, 0.95)
    assert figures["new_answers"] == {"rows": 3, "exact_match": 0.0, "low": low, "high": high}
    for key in ("token_f1", "rouge_l"):
        assert 0 <= figures[f"{key}_low"] < figures[key] < figures[f"{key}_high"] <= 1


def test_of_rows_that_there_are_not_only_the_number_is_told() -> None:
    figures = figures_of([sample(checkable=False, new_answer=False)])
    assert figures["checkable"] == figures["new_answers"] == {"rows": 0}
    assert figures["token_f1_low"] == figures["token_f1_high"] == 0.0


def test_wordings_of_one_question_are_drawn_together() -> None:
    """Ten wordings each of four questions tell as much as four rows do."""
    values = np.repeat([0.0, 1.0, 1.0, 0.0], 10)
    ones = np.ones(40)
    together = interval_of_mean(values, ones, ["a"] * 10 + ["b"] * 10 + ["c"] * 10 + ["d"] * 10, 0.95, 0)
    assert together == interval_of_mean(values[::10], ones[::10], list("abcd"), 0.95, 0)
    apart = interval_of_mean(values, ones, list(range(40)), 0.95, 0)
    assert together[0] < apart[0] < 0.5 < apart[1] < together[1]
    grouped = figures_of([sample(bool(value), group=f"g{number // 10}") for number, value in enumerate(values)])
    assert (grouped["token_f1_low"], grouped["token_f1_high"]) == together
    assert (grouped["rows"], grouped["contents"]) == (40, 4)


def test_two_models_are_compared_row_by_row() -> None:
    one = [sample(bool(value)) for value in (1, 1, 1, 1, 1, 1, 1, 0)]
    other = [sample(bool(value)) for value in (1, 0, 0, 0, 0, 0, 0, 1)]
    compared = versus(one, other, 0.95, 0)
    assert compared["exact_match_difference"] == pytest.approx(5 / 8)
    right, other_right = (np.array([row["exact_match"] for row in rows]) for rows in (one, other))
    assert compared["mcnemar_p"] == mcnemar_p_value(right, other_right) == pytest.approx(0.125)
    assert compared["low"] < 5 / 8 < compared["high"]
    back = versus(other, one, 0.95, 0)
    assert back["exact_match_difference"] == -compared["exact_match_difference"]
    assert back["mcnemar_p"] == compared["mcnemar_p"]
    assert versus(one, one, 0.95, 0) == {"exact_match_difference": 0.0, "low": 0.0, "high": 0.0, "mcnemar_p": 1.0}


def asked(instruction: str, output: str, **changes: Any) -> Instruction:
    return replace(Instruction(instruction, "", output), **changes)


def test_a_wrong_answer_that_training_gave_to_another_question_is_memorised() -> None:
    seen = training_answers(
        [
            asked("Fox?", "Red.\n"),
            asked("Owl?", "Grey."),
            asked("Owl?", "Brown."),
            asked("It?", "Big.", input="the bear"),
            asked("And?", "No.", history=(("Who?", "I."),)),
        ]
    )
    assert set(seen) == {"Red.", "Grey.", "Brown.", "Big.", "No."}
    owl = asked("Owl?", "Black.")
    said = {"Red.": True, "red.": False, "Grey.": False, "Blue.": False, "": False}
    assert {answer: is_memorised(answer, owl, seen) for answer in said} == said
    assert not is_memorised("Red.", asked("Hen?", "red"), seen)  # it is right
    assert is_memorised("Big.", asked("It?", "Small.", input="the hen"), seen)
    assert not is_memorised("Big.", asked("It?", "Small.", input="the bear"), seen)
    assert is_memorised("No.", asked("And?", "Yes."), seen)
    assert not is_memorised("No.", asked("And?", "Yes.", history=(("Who?", "I."),)), seen)


# --- with a model


def settings() -> EvaluateParams:
    params = load_params(ROOT / "params.yaml").evaluate
    return replace(params, batch_size=2, response_tokens=4)


def row(instruction: str, output: str, **changes: str) -> dict[str, Any]:
    return {"instruction": instruction, "input": "", "output": output} | changes


def model_of_bytes(seed: int = 0):
    return tiny_gpt(seed, vocab_size=257, context_length=CONTEXT)


LENGTHS = [row("ab:", "cd"), row("x:", "y" * 40), row("longer one:", "abc"), row("q:", "rstuvwxyz"), row("é", "1")]


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_the_loss_of_each_row_is_that_of_the_row_alone(tmp_path: Path, batch_size: int) -> None:
    rows, model = instruction_rows(tmp_path / "all", LENGTHS), model_of_bytes().train()
    losses, n_targets = response_losses(model, rows, batch_size)
    assert model.training
    fitting = [0, 2, 3, 4]
    assert n_targets.tolist() == [len(LENGTHS[number]["output"]) + 1 for number in fitting]
    # fp32: the same terms in another order.
    for number, loss, n in zip(fitting, losses, n_targets, strict=True):
        alone = response_loss(model, instruction_rows(tmp_path / str(number), [LENGTHS[number]]), 1)
        assert loss / n == pytest.approx(alone, rel=1e-5)
    assert losses.sum() / n_targets.sum() == pytest.approx(response_loss(model, rows, batch_size), rel=1e-5)


def instructed(folder: Path) -> Path:
    folder.mkdir()
    save_model(folder, model_of_bytes(), byte_tokenizer(), {})
    return folder


KEYS = {
    *(
        f"{key}{end}"
        for key in ("response_loss_nats", "exact_match", "token_f1", "rouge_l")
        for end in ("", "_low", "_high")
    ),
    *("rows", "contents", "ended", "repeats", "memorised", "checkable", "new_answers"),
    *("length_ratio_mean", "length_ratio_median"),
}


def test_rows_without_kinds_have_the_figures_that_need_none(tmp_path: Path) -> None:
    rows = instruction_rows(tmp_path / "rows", LENGTHS)
    evaluated = evaluate_instructions(instructed(tmp_path / "model"), rows, rows.rows, settings(), 0, CPU)
    assert set(evaluated.figures) == KEYS
    assert evaluated.figures["new_answers"] == {"rows": 0}
    assert evaluated.figures["response_loss_nats_low"] < evaluated.figures["response_loss_nats"]


@pytest.mark.parametrize(
    "rows", [[row("a", "b")], [row("a", "é 東京 \u2028")], [row("a", "b", group="g"), row("c", "de", group="g")]]
)
def test_one_row_and_one_content_have_all_figures(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    test = instruction_rows(tmp_path / "rows", rows)
    figures = evaluate_instructions(instructed(tmp_path / "model"), test, [], settings(), 0, CPU).figures
    assert set(figures) == KEYS
    assert figures["response_loss_nats_low"] == pytest.approx(figures["response_loss_nats"])


def test_rows_that_are_all_too_long_have_no_loss(tmp_path: Path) -> None:
    test = instruction_rows(tmp_path / "rows", [row("a", "b" * 60)])
    figures = evaluate_instructions(instructed(tmp_path / "model"), test, [], settings(), 0, CPU).figures
    assert set(figures) == {key for key in KEYS if "loss" not in key}


def test_what_stands_beside_an_answer_is_of_that_answer(tmp_path: Path) -> None:
    folder = instructed(tmp_path / "model")
    rows = instruction_rows(
        tmp_path / "rows", [row(f"q{n}", "ab cd ef gh", kind="sum", group=f"g{n // 2}") for n in range(4)]
    )
    said = [each.text for each in answers(model_of_bytes(), rows, [0, 1, 2, 3], byte_tokenizer(), 4, 2)]
    train = [asked("other", said[2]), asked("q1", said[1])]
    samples = evaluate_instructions(folder, rows, train, settings(), 0, CPU).samples
    assert [each["answer"] for each in samples] == said
    for each in samples:
        assert each["rouge_l"] == round(rouge_l(each["answer"], each["wanted"]), 4)
        assert each["length_ratio"] == round(length_ratio(each["answer"], each["wanted"]), 4)
        assert each["repeats"] is repeats_itself(each["answer"])
        assert each["checkable"] is True
        assert each["new_answer"] is True
        assert each["memorised"] == (
            each["answer"] in (said[1], said[2]) and not (each["instruction"] == "q1" and said[1] != said[2])
        )
    assert samples[2]["memorised"]
    assert [each["group"] for each in samples] == ["g0", "g0", "g1", "g1"]


def test_the_seed_draws_the_resamples_and_nothing_else(tmp_path: Path) -> None:
    folder = instructed(tmp_path / "model")
    rows = instruction_rows(tmp_path / "rows", [row(f"q{n}", "ab" * (n % 5 + 1)) for n in range(12)])
    first, again, other = (evaluate_instructions(folder, rows, [], settings(), seed, CPU).figures for seed in (0, 0, 1))
    assert first == again
    changed = {key for key in first if first[key] != other[key]}
    assert changed
    assert changed <= {
        f"{key}_{end}" for key, end in itertools.product(("response_loss_nats", "token_f1", "rouge_l"), ("low", "high"))
    }
