"""The training loop: which weights it keeps, when it stops, what it tells, and that a model learns in it."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from helpers import CPU, byte_tokenizer, pretrain_settings, tiny_gpt, token_store, training_settings

from groundup.model.gpt import choose_trainable
from groundup.tasks.language import LanguageTask, score_corpus
from groundup.train import loop
from groundup.train.loop import DivergedError, Outcome, train
from groundup.train.schedule import learning_rate_at

TEXT = "the cat sat on the mat. the rat sat on the cat. "


@dataclass
class Batch:
    step: int
    n_targets: int = 2
    n_tokens: int = 3


@dataclass
class Scripted:
    """A task with told losses, which notes what the loop does to the model."""

    validation: list[float]
    losses: list[float] = field(default_factory=list)
    max_steps: int = 0
    learning_rate_key: str = "some.learning_rate"
    alike: bool = False
    text: str | None = None
    weights: list[torch.Tensor] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.max_steps = self.max_steps or len(self.validation)

    def batches(self, step):
        return [Batch(step)]

    def loss(self, model, batch):
        self.modes.append(f"loss {model.training} {torch.is_grad_enabled()}")
        told = self.losses[batch.step] if self.losses else 1.0
        moving = model.weight.sum()
        return moving - moving.detach() + told

    def validate(self, model):
        self.modes.append(f"validate {model.training} {torch.is_grad_enabled()}")
        self.weights.append(model.weight.detach().clone())
        return {"loss_nats": self.validation[len(self.weights) - 1], "accuracy": 0.5}

    def sample(self, model):
        self.modes.append(f"sample {model.training} {torch.is_grad_enabled()}")
        return self.text


class Witness:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def started(self, max_steps):
        self.calls.append(("started", max_steps))

    def logged(self, row, tokens_per_s):
        assert tokens_per_s > 0
        self.calls.append(("logged", row.step))

    def validated(self, row):
        self.calls.append(("validated", row["step"]))

    def sampled(self, step, text):
        self.calls.append(("sampled", step, text))

    def ended(self, outcome):
        self.calls.append(("ended", outcome.best_step))


def model_of_one_layer() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def test_the_weights_of_the_best_validation_are_kept():
    model, task = model_of_one_layer(), Scripted([3.0, 2.0, 2.5, 1.0, 4.0])
    outcome = train(model, task, training_settings(), seed=0)
    assert (outcome.best_step, outcome.best_loss_nats, outcome.steps) == (4, 1.0, 5)
    assert torch.equal(model.weight, task.weights[3])
    assert not torch.equal(model.weight, task.weights[4])


def test_of_equally_good_weights_the_earlier_are_kept():
    model, task = model_of_one_layer(), Scripted([3.0, 2.0, 2.0])
    assert train(model, task, training_settings(), seed=0).best_step == 2
    assert torch.equal(model.weight, task.weights[1])


def test_it_stops_when_validation_has_not_improved_for_as_long_as_told():
    task = Scripted([3.0, 2.0, 2.5, 2.6, 1.0])
    outcome = train(model_of_one_layer(), task, training_settings(patience=2), seed=0)
    assert (outcome.steps, outcome.best_step, outcome.stopped_early) == (4, 2, True)
    assert len(outcome.validation_rows) == 4


def test_an_improvement_starts_the_waiting_anew():
    task = Scripted([3.0, 3.5, 2.0, 2.5, 1.0, 1.5])
    outcome = train(model_of_one_layer(), task, training_settings(patience=2), seed=0)
    assert (outcome.steps, outcome.best_step, outcome.stopped_early) == (6, 5, False)


def test_without_patience_set_it_never_stops_early():
    outcome = train(model_of_one_layer(), Scripted([1.0, 2.0, 3.0, 4.0]), training_settings(patience=0), seed=0)
    assert (outcome.steps, outcome.stopped_early) == (4, False)


def test_running_out_of_patience_at_the_last_step_is_no_early_stop():
    outcome = train(model_of_one_layer(), Scripted([1.0, 2.0]), training_settings(patience=1), seed=0)
    assert (outcome.steps, outcome.stopped_early) == (2, False)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_no_number_stops_with_one_line_of_advice(bad):
    task = Scripted([1.0] * 5, losses=[1.0, 1.0, bad, 1.0, 1.0])
    with pytest.raises(DivergedError, match=r"training loss is no number at step 3; got (nan|inf); to mend it: ") as e:
        train(model_of_one_layer(), task, training_settings(), seed=0)
    assert "\n" not in str(e.value)
    assert len(task.weights) == 2  # the step's weights were not validated


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_validation_loss_that_is_no_number_stops_it_too(bad):
    with pytest.raises(
        DivergedError, match=r"validation loss is no number at step 2; got (nan|inf); to mend it: "
    ) as e:
        train(model_of_one_layer(), Scripted([1.0, bad, 1.0]), training_settings(), seed=0)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_no_number_stops_it_though_the_loss_is_one(bad):
    class Steep(Scripted):
        def loss(self, model, batch):
            loss = super().loss(model, batch)
            if batch.step == 1:
                loss.register_hook(lambda gradient: gradient * bad)
            return loss

    with pytest.raises(
        DivergedError, match=r"gradient's norm is no number at step 2; got (nan|inf); .*some\.learning_rate"
    ):
        train(model_of_one_layer(), Steep([1.0] * 3), training_settings(), seed=0)


def test_losses_and_samples_see_the_model_in_the_right_mode():
    task = Scripted([1.0, 1.0])
    train(model_of_one_layer(), task, training_settings(), seed=0)
    assert task.modes == ["loss True True", "validate False False", "sample False False"] * 2


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_training_and_validation_compute_in_the_chosen_precision_and_samples_in_fp32(precision):
    seen = []

    class Noted(Scripted):
        def loss(self, model, batch):
            seen.append(("loss", torch.is_autocast_enabled("cpu")))
            return super().loss(model, batch)

        def validate(self, model):
            seen.append(("validate", torch.is_autocast_enabled("cpu")))
            return super().validate(model)

        def sample(self, model):
            seen.append(("sample", torch.is_autocast_enabled("cpu")))
            return super().sample(model)

    train(model_of_one_layer(), Noted([1.0]), training_settings(precision=precision), seed=0)
    assert seen == [("loss", precision == "bf16"), ("validate", precision == "bf16"), ("sample", False)]


def test_rows_come_at_their_intervals_with_each_validation_and_at_the_end():
    task = Scripted([1.0] * 9, max_steps=11)
    outcome = train(model_of_one_layer(), task, training_settings(log_interval=3, evaluation_interval=5), seed=0)
    assert [row.step for row in outcome.train_rows] == [3, 5, 6, 9, 10, 11]
    assert [row.tokens for row in outcome.train_rows] == [9, 15, 18, 27, 30, 33]
    assert [(row["step"], row["tokens"]) for row in outcome.validation_rows] == [(5, 15), (10, 30), (11, 33)]


def test_freed_memory_goes_back_before_each_validation(monkeypatch):
    events: list[str] = []
    monkeypatch.setattr(loop, "give_back_freed_memory", lambda: events.append("given back"))
    task = Scripted([1.0] * 9, max_steps=5)
    validate = task.validate
    monkeypatch.setattr(task, "validate", lambda model: (events.append("validated"), validate(model))[1])
    train(model_of_one_layer(), task, training_settings(evaluation_interval=2), seed=0)
    assert events == ["given back", "validated"] * 3


def test_a_training_that_stops_before_its_first_log_interval_still_has_metrics():
    task = Scripted([1.0, 2.0, 3.0], losses=[4.0] * 6, max_steps=6)
    settings = training_settings(log_interval=100, evaluation_interval=2, patience=1)
    metrics = train(model_of_one_layer(), task, settings, seed=0).metrics()
    assert (metrics["steps"], metrics["stopped_early"]) == (4, True)
    assert metrics["final"]["train_loss_nats"] == 2.0


def test_a_row_s_loss_is_that_of_all_its_steps_per_target():
    task = Scripted([1.0], losses=[8.0, 6.0, 4.0, 2.0], max_steps=4)
    outcome = train(model_of_one_layer(), task, training_settings(log_interval=2, evaluation_interval=9), seed=0)
    assert [row.loss_nats for row in outcome.train_rows] == pytest.approx([14 / 4, 6 / 4])


def test_the_learning_rate_of_each_step_is_that_of_the_schedule():
    settings = training_settings(learning_rate=0.5, min_learning_rate=0.1, warmup_steps=2)
    model, task = model_of_one_layer(), Scripted([1.0] * 6)
    begin = model.weight.detach().clone()
    outcome = train(model, task, settings, seed=0)
    rates = [learning_rate_at(step, 6, settings) for step in range(6)]
    assert [row.learning_rate for row in outcome.train_rows] == pytest.approx(rates)
    # The gradient is 1 at every step, so each of Adam's steps is the rate itself.
    moved = [begin - weights for weights in task.weights]
    expected = torch.tensor(rates).cumsum(0)
    torch.testing.assert_close(torch.stack(moved)[:, 0, 0], expected, rtol=1e-5, atol=0)


def test_observers_are_told_everything_in_order():
    witness, task = Witness(), Scripted([2.0, 1.0], max_steps=4, text="hello")
    outcome = train(
        model_of_one_layer(),
        task,
        training_settings(evaluation_interval=2, log_interval=2),
        seed=0,
        observers=[witness],
    )
    assert witness.calls == [
        ("started", 4),
        ("logged", 2),
        ("validated", 2),
        ("sampled", 2, "hello"),
        ("logged", 4),
        ("validated", 4),
        ("sampled", 4, "hello"),
        ("ended", 4),
    ]
    assert outcome.samples == [(2, "hello"), (4, "hello")]


def test_metrics_hold_the_best_and_the_final_figures_and_no_times():
    outcome = train(model_of_one_layer(), Scripted([3.0, 1.0, 2.0]), training_settings(), seed=0)
    assert outcome.metrics() == {
        "steps": 3,
        "tokens": 9,
        "stopped_early": False,
        "best": {"step": 2, "tokens": 6, "loss_nats": 1.0, "accuracy": 0.5},
        "final": {"train_loss_nats": 0.5, "step": 3, "tokens": 9, "loss_nats": 2.0, "accuracy": 0.5},
    }


def language_task(seed: int = 0, **changes) -> LanguageTask:
    tokenizer = byte_tokenizer()
    store = token_store([[*tokenizer.encode(TEXT * 4), tokenizer.end_of_text_id]])
    return LanguageTask(store, store, tokenizer, pretrain_settings(**changes), 12, seed, CPU)


def trained(seed: int = 0, observers=(), **changes) -> tuple[Outcome, dict[str, torch.Tensor]]:
    model = tiny_gpt(std=None, vocab_size=257, dropout=0.2)
    task = language_task(seed, **changes)
    outcome = train(model, task, task.settings, seed=seed, observers=observers)
    return outcome, model.state_dict()


class Draws(Witness):
    """An observer that uses up torch's random numbers between the steps."""

    def logged(self, row, tokens_per_s):
        torch.rand(5)


def test_a_model_learns_a_text_by_heart():
    model = tiny_gpt(std=None, vocab_size=257, d_model=32)
    task = language_task(max_steps=120, batch_size=8, learning_rate=5e-3, evaluation_interval=60)
    outcome = train(model, task, task.settings, seed=0)
    assert outcome.train_rows[0].loss_nats == pytest.approx(math.log(257), abs=0.1)  # it begins knowing nothing
    # From 5.5. The first letters of each window of 12 cannot be known; a model that sees only the last letter stays
    # above 1.
    assert outcome.best_loss_nats < 0.7


def test_the_same_seed_gives_the_same_weights_and_figures_to_the_last_bit():
    first, weights = trained(seed=1)
    second, again = trained(seed=1, observers=[Draws()])  # dropout depends on seed and step alone
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    assert first.metrics() == second.metrics()


def test_another_seed_gives_other_weights():
    _, weights = trained(seed=1)
    _, others = trained(seed=2)
    assert not torch.equal(weights["token_embedding.weight"], others["token_embedding.weight"])


def test_dropout_is_off_in_validation_and_on_in_training():
    model = tiny_gpt(vocab_size=257, dropout=0.9)
    task = language_task(max_steps=1, learning_rate=1e-9, min_learning_rate=0.0)
    plain = score_corpus(model.eval(), task.validation, task.tokenizer, stride=12, batch_size=4).figures()
    outcome = train(model, task, task.settings, seed=0)
    # A step of 1e-9 changes no figure by more than its rounding in fp32.
    assert outcome.validation_rows[0]["loss_nats"] == pytest.approx(plain["loss_nats"], rel=1e-5)
    assert abs(outcome.train_rows[0].loss_nats - plain["loss_nats"]) > 0.05


@pytest.mark.parametrize("which", ["head", "last_block"])
def test_frozen_weights_stay_what_they_were_to_the_last_bit(which):
    model = tiny_gpt(vocab_size=257, tie_weights=False)
    choose_trainable(model, which)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    task = language_task(weight_decay=0.5)
    train(model, task, task.settings, seed=0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


def test_weights_that_training_makes_worse_are_kept_as_they_were_given():
    model = model_of_one_layer()
    before = model.weight.detach().clone()
    outcome = train(model, Scripted([1.0, 2.0, 3.0], max_steps=2), training_settings(), seed=0, validate_first=True)
    assert outcome.best_step == 0
    assert torch.equal(model.weight, before)
    assert [row["step"] for row in outcome.validation_rows] == [0, 1, 2]


def test_a_training_without_steps_measures_and_changes_nothing():
    model = tiny_gpt(vocab_size=257)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    task = language_task(max_steps=0)
    witness = Witness()
    outcome = train(model, task, task.settings, seed=0, observers=[witness], validate_first=True)
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    figures = outcome.metrics()
    assert (figures["steps"], figures["best"]["step"], figures["final"]["step"]) == (0, 0, 0)
    assert figures["best"]["loss_nats"] == figures["final"]["loss_nats"] > 0
    assert "train_loss_nats" not in figures["final"]
    assert [call[0] for call in witness.calls] == ["started", "validated", "ended"]


def test_accumulated_batches_are_one_step_each():
    outcome, _ = trained(max_steps=2, grad_accum_steps=3, batch_size=2)
    assert outcome.steps == 2
    assert outcome.tokens == 2 * 3 * 2 * 12


def test_the_kept_weights_are_the_average_of_the_steps():
    """One weight that each step moves by the learning rate: the average lags behind it, and is what is validated."""
    task = Scripted([4.0, 3.0, 2.0])
    model = model_of_one_layer()
    torch.nn.init.zeros_(model.weight)
    settings = training_settings(weight_average=0.5, schedule="constant", learning_rate=0.1, min_learning_rate=0.0)
    train(model, task, settings, seed=0)
    # Where gradients are equal AdamW moves by the learning rate: -0.1, -0.2, -0.3. Early weights count for more:
    # 1 - 1/10, 1 - 2/11 and 1 - 3/12 of the new average.
    average, wanted = 0.0, []
    for step, weight in enumerate((-0.1, -0.2, -0.3), start=1):
        keep = min(0.5, step / (9 + step))
        average = keep * average + (1 - keep) * weight
        wanted.append(average)
    for found, expected in zip(task.weights, wanted, strict=True):
        torch.testing.assert_close(found, torch.full_like(found, expected), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(model.weight.detach(), task.weights[-1])


def test_averaging_does_not_change_what_the_steps_do():
    plain, _ = trained()
    averaged, _ = trained(weight_average=0.9)
    assert [row.loss_nats for row in plain.train_rows] == [row.loss_nats for row in averaged.train_rows]
    assert plain.validation_rows != averaged.validation_rows
