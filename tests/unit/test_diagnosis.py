"""What is said of a run, from curves made up so that it is known what is true of them."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundup.evaluation import diagnosis
from groundup.evaluation.diagnosis import Corpus, Finding, Training, diagnose
from groundup.params_file import known_keys, load_params

PARAMS = load_params(Path(__file__).resolve().parents[2] / "params.yaml")
N = 100  # rows of a curve, one every 10 steps
TEXT = Corpus(vocab_size=1000, train_tokens=100_000.0)


def training(
    losses: Sequence[float] = (),
    validation: Sequence[float] = (),
    name: str = "pretrain",
    norms: float | Sequence[float] = 0.5,
    accuracies: Sequence[float] = (),
    rate: float = 1.0,
    metrics: dict[str, Any] | None = None,
    **settings: Any,
) -> Training:
    """Losses every 10 steps, and validations at equal distances, the last one at the last step.

    Args:
        rate: what is left of the learning rate at the end.
    """
    told = replace(getattr(PARAMS, name), warmup_steps=0, log_interval=10, evaluation_interval=10, **settings)
    norms = [norms] * len(losses) if isinstance(norms, float) else norms
    train = [
        {"step": 10.0 * n, "loss_nats": loss, "grad_norm": norm, "learning_rate": told.learning_rate * rate}
        for n, (loss, norm) in enumerate(zip(losses, norms, strict=True), 1)
    ]
    steps = 10 * len(losses)
    rows = [{"step": float(steps * n // len(validation)), "loss_nats": loss} for n, loss in enumerate(validation, 1)]
    for row, accuracy in zip(rows, accuracies, strict=False):
        row["accuracy"] = accuracy
    return Training(name, told, train, rows, {"steps": steps, "stopped_early": False} | (metrics or {}))


def falling(start: float = 7.0, end: float = 2.0, n: int = N) -> list[float]:
    """Fast at first and slowly later, as a loss falls."""
    return [end + (start - end) * (k + 1) ** -0.8 for k in range(n)]


def straight(start: float, end: float, n: int = N) -> list[float]:
    return [start + (end - start) * k / (n - 1) for k in range(n)]


def rough(losses: Sequence[float], by: float) -> list[float]:
    """The same with a noise that repeats after seven rows."""
    return [loss + by * (0.0, 0.9, -0.4, 0.5, -1.0, 0.2, -0.2)[k % 7] for k, loss in enumerate(losses)]


# --- over-fitting


def test_over_fitting_is_dated_from_the_best_validation() -> None:
    found = diagnosis.over_fitting(training(falling(end=0.1), [3.0, 2.0, 2.2, 2.5]))
    assert found is not None
    assert found.level == "warning"
    assert found.text.startswith(
        "Over-fitting since step 500: the validation loss rose from 2.00 to 2.50. By step 1000"
    )
    assert found.key == "lower pretrain.max_steps or raise model.dropout, or add text under data.corpus"


@pytest.mark.parametrize(("end", "level"), [(2.09, "note"), (2.11, "warning")])
def test_how_much_over_fitting_is_a_warning(end: float, level: str) -> None:
    found = diagnosis.over_fitting(training(falling(end=0.1), [3.0, 2.0, end]))
    assert found is not None
    assert found.level == level


@pytest.mark.parametrize("validation", [[3.0, 2.0, 1.9, 1.8], [3.0, 2.0, 2.03], [2.0], [0.1, 0.104]])
def test_a_validation_loss_that_falls_or_hardly_rises_is_no_over_fitting(validation: list[float]) -> None:
    assert diagnosis.over_fitting(training(falling(end=0.1), validation)) is None


def test_a_training_loss_that_rises_too_is_no_over_fitting() -> None:
    both_rise = [*falling(n=50), *straight(2.5, 3.5, n=50)]
    assert diagnosis.over_fitting(training(both_rise, [3.0, 2.0, 2.5, 2.9])) is None


def test_the_accuracy_that_rises_while_the_loss_does_is_told() -> None:
    losses, validation = falling(0.7, 0.01), [0.09, 0.05, 0.061]
    worse = diagnosis.over_fitting(training(losses, validation, "finetune_cls", accuracies=[0.9, 0.975, 0.97]))
    better = diagnosis.over_fitting(training(losses, validation, "finetune_cls", accuracies=[0.9, 0.975, 0.983]))
    assert worse is not None
    assert better is not None
    assert "by heart" in worse.text
    assert "(97.5 %, then 98.3 %)" in better.text
    assert worse.level == better.level == "note"
    assert worse.key == "lower finetune_cls.epochs or raise finetune_cls.dropout"


def test_given_weights_that_are_never_improved_are_not_called_over_fitted() -> None:
    curve = training(falling(3.0, 0.5), [2.2, 2.4])
    curve = replace(curve, validation=[{"step": 0.0, "loss_nats": 2.0}, *curve.validation])
    assert diagnosis.over_fitting(curve) is None
    found = diagnosis.worse_than_it_began(curve)
    assert found is not None
    assert "2.00 before and 2.40 at the end" in found.text


def test_given_weights_that_a_step_improves_are_fine() -> None:
    curve = training(falling(3.0, 0.5), [1.9, 2.4])
    curve = replace(curve, validation=[{"step": 0.0, "loss_nats": 2.0}, *curve.validation])
    assert diagnosis.worse_than_it_began(curve) is None
    assert diagnosis.worse_than_it_began(training(falling(), [2.0, 2.4])) is None


# --- how long


def test_a_best_step_long_before_the_end_is_told() -> None:
    found = diagnosis.best_long_before_the_end(training(falling(), [3.0, 2.0, 2.001, 2.001, 2.002]))
    assert found is not None
    assert found.text.startswith("The best validation loss came at step 400 of 1000.")


@pytest.mark.parametrize("validation", [[3.0, 2.5, 2.4, 2.0, 2.001], [2.0, 2.001], [3.0, 2.0, 2.1, 2.3, 2.5]])
def test_a_best_step_near_the_end_or_before_a_rise_is_not(validation: list[float]) -> None:
    assert diagnosis.best_long_before_the_end(training(falling(), validation)) is None


def test_an_early_stop_is_told_and_nothing_else_is() -> None:
    stopped = training(falling(), [3.0, 2.0, 2.001, 2.001, 2.002], patience=3, metrics={"stopped_early": True})
    found = diagnosis.stopped_early(stopped)
    assert found is not None
    assert "step 1000. 3 validations in a row were no better than that of step 400" in found.text
    assert diagnosis.best_long_before_the_end(stopped) is None
    assert diagnosis.stopped_early(training(falling(), [3.0, 2.0])) is None


def test_still_improving_promises_only_what_the_learning_rate_allows() -> None:
    steady = diagnosis.still_improving(training(falling(), [4.0, 3.0, 2.5, 2.2], rate=1.0))
    brought_down = diagnosis.still_improving(training(falling(), [4.0, 3.0, 2.5, 2.2], rate=0.01))
    assert steady is not None
    assert brought_down is not None
    for found in (steady, brought_down):
        assert found.text.startswith(
            "Still improving at the end: the validation loss fell by 0.3 in the last 250 steps."
        )
        assert found.key == "raise pretrain.max_steps"
    assert "as many steps again" in steady.text
    assert "cannot be read from the curve" not in steady.text
    assert "cannot be read from the curve" in brought_down.text


@pytest.mark.parametrize(
    "validation", [[4.0, 3.0, 2.03, 2.0], [4.0, 2.0, 2.5], [2.0], [0.1, 0.05, 0.04, 0.0371, 0.037]]
)
def test_a_loss_that_has_levelled_off_is_not_still_improving(validation: list[float]) -> None:
    assert diagnosis.still_improving(training(falling(), validation)) is None


# --- the learning rate


def with_spike(losses: Sequence[float], at: int, height: float, width: int = 1) -> list[float]:
    return [loss + (height if at <= k < at + width else 0.0) for k, loss in enumerate(losses)]


def test_one_jump_that_comes_down_again_is_a_note() -> None:
    found = diagnosis.loss_spikes(training(with_spike(rough(falling(), 0.05), 60, 1.5), [2.0]))
    assert found is not None
    assert (found.level, found.key) == ("note", "lower pretrain.learning_rate or raise pretrain.warmup_steps")
    assert re.match(
        r"The training loss jumped up once, most at step 610: 2\.\d\d to 3\.\d\d\. It came down", found.text
    )


def test_jumps_that_come_again_or_never_end_are_a_warning() -> None:
    again = with_spike(with_spike(falling(), 40, 2.0), 80, 1.0)
    never_ends = [loss + (2.0 if k >= 60 else 0.0) for k, loss in enumerate(falling())]
    for losses, words in ((again, "2 times, most at step 410"), (never_ends, "never came back")):
        found = diagnosis.loss_spikes(training(losses, [2.0]))
        assert found is not None
        assert found.level == "warning"
        assert words in found.text


def test_small_jumps_and_the_long_tail_of_small_batches_are_no_spikes() -> None:
    assert diagnosis.loss_spikes(training(with_spike(falling(), 60, 0.15), [2.0])) is None
    tail = [
        0.02,
        0.11,
        0.005,
        0.09,
        0.03,
        0.06,
        0.001,
        0.13,
        0.04,
        0.14,
    ]  # as of a classifier that is nearly always right
    assert diagnosis.loss_spikes(training(tail * 5, [0.1], "finetune_cls")) is None
    rare_mistakes = [0.005, 0.01, 0.004, 0.13, 0.006, 0.003, 0.01, 0.008]
    assert diagnosis.loss_spikes(training(rare_mistakes * 5, [0.1], "finetune_cls")) is None


def test_a_row_that_a_validation_cut_short_is_no_spike() -> None:
    curve = training(falling(), [2.0])
    short = {"step": 602.0, "loss_nats": 9.0, "grad_norm": 0.5, "learning_rate": 0.1}
    rows = sorted([*curve.train, short], key=lambda row: row["step"])
    assert diagnosis.loss_spikes(replace(curve, train=rows)) is None
    assert diagnosis.loss_spikes(
        replace(curve, train=[{**row, "loss_nats": 9.0} if row["step"] == 600 else row for row in rows])
    )


@given(
    st.floats(1.0, 11.0),
    st.floats(0.05, 0.9),
    st.lists(st.floats(-1.0, 1.0), min_size=N, max_size=N),
    st.floats(0.0, 0.049),
)
def test_noise_below_a_twentieth_of_a_nat_never_is_a_spike(
    start: float, share: float, noise: list[float], by: float
) -> None:
    losses = [loss + by * each for loss, each in zip(falling(start, start * share), noise, strict=True)]
    assert diagnosis.loss_spikes(training(losses, [1.0])) is None


@given(st.integers(10, 90), st.floats(1.0, 8.0))
def test_a_jump_above_all_noise_is_found_wherever_it_is(at: int, height: float) -> None:
    assert diagnosis.loss_spikes(training(with_spike(rough(straight(2.5, 2.0), 0.02), at, height), [2.0])) is not None


def test_gradients_that_are_nearly_always_cut_are_told() -> None:
    note = diagnosis.clipped_gradients(training(falling(), [2.0], norms=6.0, max_grad_norm=1.0))
    warning = diagnosis.clipped_gradients(training(falling(), [2.0], norms=30.0, max_grad_norm=1.0))
    assert note is not None
    assert warning is not None
    assert (note.level, warning.level) == ("note", "warning")
    assert "100.0 % of the gradients were cut to 1, from usually 30." in warning.text


@pytest.mark.parametrize("norms", [[4.5] * 100, [30.0] * 85 + [0.5] * 15, [0.5] * 90 + [300.0] * 10])
def test_gradients_that_are_cut_a_little_or_now_and_then_are_not(norms: list[float]) -> None:
    assert diagnosis.clipped_gradients(training(falling(), [2.0], norms=norms, max_grad_norm=1.0)) is None


def test_the_warm_up_is_left_out_of_the_gradients() -> None:
    curve = training(falling(), [2.0], norms=[30.0] * 95 + [0.5] * 5, max_grad_norm=1.0)
    assert diagnosis.clipped_gradients(curve) is not None
    longer = replace(curve, settings=replace(curve.settings, warmup_steps=800))
    assert diagnosis.clipped_gradients(longer) is None


def test_a_loss_that_never_falls_is_told() -> None:
    found = diagnosis.does_not_learn(training(rough([7.0] * N, 0.01), [7.0]))
    assert found is not None
    assert found.key == "change pretrain.learning_rate by a factor of 10, up or down"
    up_again = diagnosis.does_not_learn(training([*falling(n=50), *straight(2.5, 7.5, 50)], [7.0]))
    assert up_again is not None
    assert up_again.key == "lower pretrain.learning_rate"


@pytest.mark.parametrize("losses", [straight(7.0, 6.5), falling(), [7.0, 7.0, 7.0]])
def test_a_loss_that_falls_or_has_few_rows_is_not(losses: list[float]) -> None:
    assert diagnosis.does_not_learn(training(losses, [2.0])) is None


def test_a_straight_fall_says_that_the_rate_is_too_low() -> None:
    found = diagnosis.low_learning_rate(training(rough(straight(7.0, 5.0), 0.05), [5.0]))
    assert found is not None
    assert found.level == "note"
    assert found.key == "raise pretrain.learning_rate or pretrain.max_steps"


@pytest.mark.parametrize(
    "losses",
    [
        falling(),
        rough(falling(7.0, 5.0), 0.05),
        straight(7.0, 1.0),  # it went far, so the steps are long enough
        straight(7.0, 6.9),  # too little to see a shape in
        rough(straight(7.0, 6.0), 1.0),  # too rough to see one
        straight(7.0, 5.0, n=8),
        straight(5.0, 7.0),
    ],
)
def test_no_other_shape_says_so(losses: list[float]) -> None:
    assert diagnosis.low_learning_rate(training(losses, [5.0])) is None


# --- the language model


def pretrained(
    tokens: float, parameters: int = 10_000, validation: Sequence[float] = (2.0,), **settings: Any
) -> Training:
    metrics = {"tokens": tokens, "parameters": parameters, "best": {"bits_per_byte": 1.5}}
    return training(falling(), validation, metrics=metrics, **settings)


def test_chance_is_the_logarithm_of_the_vocabulary() -> None:
    chance = math.log(1000)
    assert diagnosis.no_better_than_chance(training(falling(), [0.96 * chance]), TEXT) is not None
    assert diagnosis.no_better_than_chance(training(falling(), [0.9 * chance]), TEXT) is None
    assert diagnosis.no_better_than_chance(training(falling(), [chance]), Corpus()) is None


def test_few_tokens_for_each_parameter_are_told_with_what_there_is_to_do() -> None:
    short = diagnosis.too_few_tokens(pretrained(40_000), TEXT)
    little_text = diagnosis.too_few_tokens(pretrained(40_000), Corpus(1000, 5_000.0))
    assert short is not None
    assert little_text is not None
    assert "4 for each of its 10,000 parameters" in short.text
    assert short.key.startswith("raise pretrain.max_steps")
    assert little_text.key.startswith("add text")
    over_fitted = diagnosis.too_few_tokens(pretrained(40_000, validation=[3.0, 2.0, 2.5]), TEXT)
    assert over_fitted is not None
    assert over_fitted.key.startswith("add text")


@pytest.mark.parametrize(("tokens", "init"), [(60_000, "scratch"), (40_000, "gpt2")])
def test_enough_tokens_or_given_weights_are_not(tokens: float, init: str) -> None:
    assert diagnosis.too_few_tokens(pretrained(tokens, init=init), TEXT) is None


@pytest.mark.parametrize(("epochs", "level"), [(3, None), (15.9, None), (16, "note"), (40, "note"), (41, "warning")])
def test_text_that_was_read_many_times_is_told(epochs: float, level: str | None) -> None:
    found = diagnosis.repeated_data(pretrained(epochs * 100_000), TEXT)
    assert (found.level if found else None) == level
    assert diagnosis.repeated_data(pretrained(1e9), Corpus()) is None


@pytest.mark.parametrize("baselines", [{"xz": {"bits_per_byte": 1.9}, "5-gram": {"bits_per_byte": 2.5}}, {"xz": 1.9}])
def test_a_baseline_that_predicts_as_well_is_named(baselines: dict[str, Any]) -> None:
    found = diagnosis.language_below_baseline({"bits_per_byte": 1.9, "baselines": baselines})
    assert found is not None
    assert "xz, with 1.900 bits per byte" in found.text
    assert diagnosis.language_below_baseline({"bits_per_byte": 1.89, "baselines": baselines}) is None
    assert diagnosis.language_below_baseline({"bits_per_byte": 9.0}) is None


def test_a_much_harder_test_text_is_told() -> None:
    assert diagnosis.harder_test_text(pretrained(1e6), {"bits_per_byte": 1.66}) is not None
    assert diagnosis.harder_test_text(pretrained(1e6), {"bits_per_byte": 1.64}) is None
    assert diagnosis.harder_test_text(pretrained(1e6), {}) is None


def test_copied_stories_are_told() -> None:
    assert diagnosis.copied_stories({"stories": {"written": 100, "copies": 0.05}}) is not None
    assert diagnosis.copied_stories({"stories": {"written": 100, "copies": 0.04}}) is None
    assert diagnosis.copied_stories({}) is None


# --- the classifier

SPLIT = {
    "leaks": 0,
    "near_leaks": 0,
    "messages": {
        "texts": {"train": 1000, "validation": 300, "test": 100},
        "shares": {side: {"ham": 0.87, "spam": 0.13} for side in ("train", "validation", "test")},
    },
}


def test_who_knows_only_how_common_the_classes_are_has_learned_nothing() -> None:
    entropy = -(0.87 * math.log(0.87) + 0.13 * math.log(0.13))

    def says(loss: float, balance: str = "natural") -> bool:
        curve = training(falling(0.7, 0.3), [loss], "finetune_cls", class_balance=balance)
        return diagnosis.knows_only_the_shares(curve, SPLIT) is not None

    assert says(entropy)
    assert not says(0.9 * entropy)
    assert says(math.log(2), "balanced")
    assert not says(1.5 * entropy, "balanced")  # it met as many of each, so it began with ln 2


@pytest.mark.parametrize(
    ("threshold", "told"), [(0.01, True), (0.02, False), (0.743, False), (0.99, True), (None, False)]
)
def test_a_threshold_near_an_end_is_told(threshold: float | None, told: bool) -> None:
    assert (diagnosis.extreme_threshold({"threshold": threshold}) is not None) == told


def of_counts(**sides: dict[str, int]) -> dict[str, Any]:
    texts = {side: sum(counts.values()) for side, counts in sides.items()}
    shares = {side: {name: count / texts[side] for name, count in counts.items()} for side, counts in sides.items()}
    return {"messages": {"texts": texts, "shares": shares}}


def test_a_class_with_few_messages_is_named() -> None:
    found = list(diagnosis.rare_classes(of_counts(train={"a": 29, "b": 7, "c": 900}, test={"a": 10, "b": 9, "c": 400})))
    assert [each.level for each in found] == ["warning", "note"]
    assert found[0].text.startswith("Only 7 train messages are “b” (and few of 1 other classes).")
    assert found[1].text.startswith("Only 9 test messages are “b”.")


def test_a_class_without_a_row_is_the_rarest() -> None:
    (found,) = diagnosis.rare_classes(of_counts(test={"a": 50, "b": 0}))
    assert found.text.startswith("Only 0 test messages are “b”.")


def test_classes_with_enough_messages_are_not() -> None:
    assert list(diagnosis.rare_classes(of_counts(train={"a": 30, "b": 900}, test={"a": 10, "b": 90}))) == []
    assert list(diagnosis.rare_classes({})) == []


def classified(accuracy: float, high: float = 0.99, **baselines: float) -> dict[str, Any]:
    rows = {name: {"accuracy": each} for name, each in baselines.items()}
    return {"accuracy": accuracy, "accuracy_high": high, "baselines": rows}


@pytest.mark.parametrize(
    ("figures", "level"),
    [
        (classified(0.95, 0.97, majority=0.8, svm=0.94), None),
        (classified(0.95, 0.97, majority=0.8, svm=0.95), "note"),
        (classified(0.95, 0.97, majority=0.8, svm=0.98), "warning"),
        (classified(0.80, 0.97, majority=0.8, svm=0.80), "warning"),
        ({"accuracy": 0.5}, None),
    ],
)
def test_a_simple_classifier_that_is_as_good_is_named(figures: dict[str, Any], level: str | None) -> None:
    found = diagnosis.classifier_below_baseline(figures)
    assert (found.level if found else None) == level
    if level and figures["accuracy"] > 0.9:
        assert "n-gram SVM" in found.text  # type: ignore[union-attr]


@pytest.mark.parametrize(("accuracy", "high", "told"), [(0.90, 0.93, True), (0.90, 0.97, False), (0.94, 0.945, False)])
def test_far_worse_on_test_than_on_validation_is_told(accuracy: float, high: float, told: bool) -> None:
    curve = training(falling(), [0.1], "finetune_cls", metrics={"best": {"accuracy": 0.96}})
    assert (diagnosis.worse_on_test_messages(curve, classified(accuracy, high)) is not None) == told


# --- the instruction follower


@pytest.mark.parametrize(("ended", "level"), [(1.0, None), (0.95, None), (0.85, "note"), (0.4, "warning")])
def test_answers_that_do_not_end_are_told(ended: float, level: str | None) -> None:
    found = diagnosis.answers_without_end({"ended": ended})
    assert (found.level if found else None) == level


@pytest.mark.parametrize(("loss", "told"), [(1.0, False), (1.2, False), (1.3, True)])
def test_harder_test_answers_are_told(loss: float, told: bool) -> None:
    curve = training(falling(), [1.0], "finetune_instruct", metrics={"best": {"loss_nats": 1.0}})
    assert (diagnosis.worse_on_test_instructions(curve, {"response_loss_nats": loss}) is not None) == told


def test_small_losses_may_differ_by_much_of_themselves() -> None:
    curve = training(falling(), [0.02], "finetune_instruct", metrics={"best": {"loss_nats": 0.02}})
    assert diagnosis.worse_on_test_instructions(curve, {"response_loss_nats": 0.06}) is None


@pytest.mark.parametrize(("ours", "told"), [(0.5, False), (0.4, True), (0.3, True)])
def test_pretraining_that_buys_nothing_is_told(ours: float, told: bool) -> None:
    found = diagnosis.pretraining_buys_nothing({"token_f1": ours, "from_random": {"token_f1": 0.4}})
    assert (found is not None) == told
    assert diagnosis.pretraining_buys_nothing({"token_f1": ours}) is None


# --- all of it


def test_leaks_are_told() -> None:
    assert diagnosis.leaks(SPLIT) == []
    (found,) = diagnosis.leaks({"leaks": 0, "near_leaks": 3})
    assert found.model == "split"


def sound_trainings() -> list[Training]:
    metrics = {"tokens": 300_000, "parameters": 10_000, "best": {"bits_per_byte": 1.5, "loss_nats": 2.0}}
    return [
        training(rough(falling(), 0.03), [2.2, 2.05, 2.03], metrics=metrics),
        training(falling(0.7, 0.05), [0.09, 0.07, 0.069], "finetune_cls", accuracies=[0.95, 0.97, 0.97]),
        training(falling(3.0, 0.5), [0.7, 0.6, 0.597], "finetune_instruct"),
    ]


def test_of_a_sound_run_one_good_thing_is_said_of_each_training() -> None:
    found = diagnose(sound_trainings(), {"language_model": {"bits_per_byte": 1.5}}, SPLIT, TEXT)
    assert [(each.level, each.model, each.key) for each in found] == [
        ("good", "pretrain", ""),
        ("good", "finetune_cls", ""),
        ("good", "finetune_instruct", ""),
    ]
    assert found[0].text.startswith("Sound: the validation loss came to 2.03. ")


def test_near_the_floor_nobody_is_told_to_train_longer() -> None:
    short = training(falling(), [3.0, 2.5, 2.0], metrics={"tokens": 1000, "parameters": 10_000})
    far = diagnose([short], {"language_model": {"ratio_to_floor": 1.06}}, {}, TEXT)
    near = diagnose([short], {"language_model": {"ratio_to_floor": 1.04}}, {}, TEXT)
    assert [each.text.split(":")[0] for each in far] == ["Still improving at the end", "Few tokens for its size"]
    assert [each.level for each in near] == ["good"]
    assert "4.0 % more bits" in near[0].text


def test_a_training_without_steps_is_no_fault() -> None:
    given_weights = training(metrics={"tokens": 0, "parameters": 10_000}, init="gpt2", max_steps=0)
    given_weights = replace(given_weights, validation=[{"step": 0.0, "loss_nats": 3.0}])
    (found,) = diagnose([given_weights], {}, {}, TEXT)
    assert (found.level, found.text) == ("good", "The given weights are used as they are.")


def all_that_can_be_said() -> list[Finding]:
    """Every rule, set off once or more."""
    bad = {"tokens": 1e7, "parameters": 10**7, "stopped_early": True, "best": {"bits_per_byte": 1.0, "accuracy": 0.99}}
    spiky = with_spike(with_spike(falling(), 30, 3.0), 60, 3.0)
    level, rising = [7.0] * N, [3.0, 2.0, 2.0, 2.5]
    figures = {
        "language_model": {"bits_per_byte": 3.0, "baselines": {"xz": 2.0}, "stories": {"written": 9, "copies": 0.5}},
        "classifier": classified(0.7, 0.8, svm=0.9) | {"threshold": 0.999},
        "instruct": {"ended": 0.2, "response_loss_nats": 5.0, "token_f1": 0.1, "from_random": {"token_f1": 0.2}},
    }
    trainings = []
    for name in ("pretrain", "finetune_cls", "finetune_instruct"):
        begun = training(falling(), [2.5, 2.4], name, metrics=bad)
        trainings += [
            training(spiky, rising, name, norms=50.0, max_grad_norm=1.0, metrics=bad),
            training(level, [7.0, 7.0], name, metrics=bad | {"best": {"loss_nats": 1.0}}),
            training([*falling(n=50), *straight(2.5, 7.5, 50)], [7.0], name, metrics=bad),
            training(straight(7.0, 5.0), [6.0, 5.5, 5.0], name, metrics=bad),
            training(falling(), [3.0, 2.0, 2.001, 2.001], name),
            replace(begun, validation=[{"step": 0.0, "loss_nats": 2.0}, *begun.validation]),
        ]
    split = of_counts(train={"a": 3, "b": 99}, validation={"a": 3, "b": 99}, test={"a": 3, "b": 99})
    return diagnose(trainings, figures, split | {"leaks": 1, "near_leaks": 2}, TEXT) + diagnose(
        sound_trainings(), {}, SPLIT, TEXT
    )


def test_what_is_wrong_comes_first() -> None:
    levels = [each.level for each in diagnose(sound_trainings(), {"instruct": {"ended": 0.2}}, {"leaks": 1}, TEXT)]
    assert levels == ["warning", "warning", "good", "good"]


def test_every_key_that_is_named_is_one_of_params_yaml() -> None:
    known = set(known_keys())
    named = {key for each in all_that_can_be_said() for key in re.findall(r"\w+\.\w+", each.key)}
    assert len(named) > 12
    assert named - known == set()


def test_every_finding_begins_with_a_sentence_that_fits_a_line_and_has_two_more_at_most() -> None:
    texts = {each.text for each in all_that_can_be_said()}
    assert len(texts) > 30
    for text in texts:
        sentences = re.split(r"(?<=\.) (?=[A-Z0-9])", text.replace("et al. 2", "et al 2"))
        assert len(sentences[0]) <= 110, sentences[0]
        assert len(sentences) <= 3, text
        assert text.endswith(".")


@given(
    st.lists(st.floats(0.001, 12.0), max_size=40),
    st.lists(st.floats(0.001, 12.0), max_size=8),
    st.sampled_from(["pretrain", "finetune_cls", "finetune_instruct"]),
)
def test_no_curve_breaks_a_rule_and_every_training_is_spoken_of(
    losses: list[float], validation: list[float], name: str
) -> None:
    found = diagnose([training(losses, validation, name)], {}, {}, Corpus())
    assert {each.model for each in found} == {name}
