"""The training loop of all three tasks."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from groundup.config import TrainingParams
from groundup.errors import GroundupError
from groundup.fast_paths import compiled
from groundup.seeding import seed_torch
from groundup.train.average import WeightAverage
from groundup.train.device import compile_blocks, gradients_on, made_early
from groundup.train.optimizer import Optimizer, load_optimizer_state, make_optimizer, optimizer_state
from groundup.train.precision import autocast, give_back_freed_memory
from groundup.train.resume import Keeper, State
from groundup.train.schedule import learning_rate_at, steps_that_any_length_shares
from groundup.train.step import Batch, training_step


class DivergedError(GroundupError):
    """A loss or a gradient is no longer a number."""


class Task(Protocol):
    """What a kind of training brings: its batches, its loss, its validation, a sample to read."""

    max_steps: int
    learning_rate_key: str  # of params.yaml, for who has to change it
    alike: bool  # whether all batches have the same shapes and numbers of targets

    def batches(self, step: int) -> Sequence[Batch]:
        """The batches of one optimizer step; a pure function of the step."""

    def loss(self, model: Any, batch: Any) -> Tensor:
        """Loss of a batch in nats, summed over its targets."""

    def validate(self, model: Any) -> dict[str, float]:
        """Figures on the validation side; `loss_nats` decides which weights are kept."""

    def sample(self, model: Any) -> str | None:
        """Something the model says, to be read by a person."""


class Observer(Protocol):
    """Sees a training as it goes, and changes nothing in it."""

    def started(self, max_steps: int) -> None: ...
    def resumed(self, outcome: Outcome) -> None: ...
    def logged(self, row: TrainRow, tokens_per_s: float) -> None: ...
    def validated(self, row: dict[str, float]) -> None: ...
    def sampled(self, step: int, text: str) -> None: ...
    def ended(self, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class TrainRow:
    """Training since the last row. Units: nats per target; `tokens` since the start, padding not counted."""

    step: int
    tokens: int
    loss_nats: float
    learning_rate: float
    grad_norm: float


@dataclass
class Outcome:
    """What a training led to; the model holds the best weights by then."""

    steps: int = 0
    tokens: int = 0
    best_step: int = 0
    best_loss_nats: float = math.inf
    stopped_early: bool = False
    train_rows: list[TrainRow] = field(default_factory=list)
    validation_rows: list[dict[str, float]] = field(default_factory=list)
    samples: list[tuple[int, str]] = field(default_factory=list)

    @property
    def train_columns(self) -> list[str]:
        """What each row of training tells, where there is none too."""
        return [each.name for each in fields(TrainRow)]

    def metrics(self) -> dict[str, Any]:
        """The figures for a metrics file: no times, no names of machines."""
        best = next(row for row in self.validation_rows if row["step"] == self.best_step)
        last_train = {"train_loss_nats": self.train_rows[-1].loss_nats} if self.train_rows else {}
        return {
            "steps": self.steps,
            "tokens": self.tokens,
            "stopped_early": self.stopped_early,
            "best": best,
            "final": {**last_train, **self.validation_rows[-1]},
        }


def train(
    model: nn.Module,
    task: Task,
    settings: TrainingParams,
    *,
    seed: int,
    observers: Sequence[Observer] = (),
    keeper: Keeper | None = None,
    validate_first: bool = False,
) -> Outcome:
    """Train a model and leave it with the weights that did best on the validation side.

    Args:
        validate_first: whether the weights as they are take part in that.
        keeper: keeps states, from which the training goes on if it was stopped, to the same end to the last bit.
    Raises: DivergedError if the loss or the gradient is no longer a number.
    """
    device = next(model.parameters()).device
    optimizer = make_optimizer(model, settings)
    precision = autocast(settings.precision, device)
    if compiled():
        compile_blocks(model)
    gradients = gradients_on(device, alike=task.alike)
    outcome = Outcome()
    best_weights = _copy_of_trainable(model) if task.max_steps else {}
    average = WeightAverage(model, settings.weight_average) if settings.weight_average else None
    window = _Window()
    for observer in observers:
        observer.started(task.max_steps)
    shared_steps = steps_that_any_length_shares(task.max_steps, settings)
    resumed = keeper.load(device, shared_steps) if keeper else None
    if resumed:
        outcome, best_weights, window = _restore(resumed, model, optimizer, average)
        for observer in observers:
            observer.resumed(outcome)
    elif validate_first:
        _validate(model, task, outcome, observers, precision)

    stops = keeper.stops_after_a_step() if keeper else contextlib.nullcontext()
    with stops, made_early(task.batches, device) as batches_of:
        # A state is one after a step and before what the step leads to: a row, a validation, new best weights.
        for step in range(max(0, outcome.steps - 1), task.max_steps):
            rate = learning_rate_at(step, task.max_steps, settings)
            last = step + 1 == task.max_steps
            evaluates = last or (step + 1) % settings.evaluation_interval == 0
            if step + 1 > outcome.steps:
                for group in optimizer.param_groups:
                    group["lr"] = rate
                model.train()
                seed_torch(seed, "dropout", step)  # so that a step's dropout depends on the step alone
                result = training_step(
                    model, optimizer, batches_of(step), task.loss, precision, settings.max_grad_norm, gradients
                )
                _check_finite("training loss", result.loss_nats, step + 1, task, settings, keeper)
                _check_finite("gradient's norm", result.grad_norm, step + 1, task, settings, keeper)
                if average:
                    average.update(step + 1)
                outcome.steps = step + 1
                outcome.tokens += result.n_tokens
                window.add(result.loss_nats, result.n_targets, result.n_tokens, result.grad_norm)
                if keeper and (evaluates or keeper.due() or outcome.steps == shared_steps):
                    state = _state(model, optimizer, average, best_weights, outcome, window)
                    keeper.save(state, for_longer=outcome.steps == shared_steps)
                    keeper.stop_if_asked()
                    window.restart_clock()

            if evaluates or outcome.steps % settings.log_interval == 0:
                row = TrainRow(outcome.steps, outcome.tokens, window.loss_nats, rate, window.grad_norm)
                outcome.train_rows.append(row)
                for observer in observers:
                    observer.logged(row, window.tokens_per_s)
                window = _Window()
            if evaluates:
                give_back_freed_memory()
                with average.in_the_model() if average else contextlib.nullcontext():
                    with keeper.stops_at_once() if keeper else contextlib.nullcontext():
                        improved = _validate(model, task, outcome, observers, precision)
                    if improved:
                        best_weights = _copy_of_trainable(model)
                validation_loss = outcome.validation_rows[-1]["loss_nats"]
                _check_finite("validation loss", validation_loss, outcome.steps, task, settings, keeper)
                window.restart_clock()
                if not improved and _waited_long_enough(outcome, settings.patience):
                    outcome.stopped_early = not last
                    break
    model.load_state_dict(best_weights, strict=False)
    for observer in observers:
        observer.ended(outcome)
    return outcome


def _state(
    model: nn.Module,
    optimizer: Optimizer,
    average: WeightAverage | None,
    best_weights: dict[str, Tensor],
    outcome: Outcome,
    window: _Window,
) -> State:
    """All that the rest of the training depends on. Batches, dropout and samples follow from seed and step."""
    tensors = {f"model.{name}": parameter.detach() for name, parameter in _trainable(model)}
    tensors |= {f"best.{name}": tensor for name, tensor in best_weights.items()}
    tensors |= {f"optimizer.{name}": tensor for name, tensor in optimizer_state(model, optimizer).items()}
    if average:
        tensors |= {f"average.{name}": tensor for name, tensor in average.state().items()}
    facts = asdict(outcome)
    facts["best_loss_nats"] = None if math.isinf(outcome.best_loss_nats) else outcome.best_loss_nats
    return State(outcome.steps, tensors, {"outcome": facts, "window": window.sums()})


def _restore(
    state: State, model: nn.Module, optimizer: Optimizer, average: WeightAverage | None
) -> tuple[Outcome, dict[str, Tensor], _Window]:
    """Put the state into model and optimizer; returns what else it holds."""
    parts: dict[str, dict[str, Tensor]] = {"model": {}, "best": {}, "optimizer": {}, "average": {}}
    for name, tensor in state.tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    model.load_state_dict(parts["model"], strict=False)  # what is frozen is as it was loaded
    load_optimizer_state(model, optimizer, parts["optimizer"])
    if average:
        average.load(parts["average"])
    facts = dict(state.facts["outcome"])
    outcome = Outcome(
        **facts
        | {
            "best_loss_nats": math.inf if facts["best_loss_nats"] is None else facts["best_loss_nats"],
            "train_rows": [TrainRow(**row) for row in facts["train_rows"]],
            "samples": [(step, text) for step, text in facts["samples"]],
        }
    )
    return outcome, parts["best"], _Window(**state.facts["window"])


def _validate(
    model: nn.Module,
    task: Task,
    outcome: Outcome,
    observers: Sequence[Observer],
    precision: contextlib.AbstractContextManager[None],
) -> bool:
    """Add a validation row and a sample to the outcome; returns whether it is the best so far."""
    model.eval()
    with torch.no_grad():
        with precision:
            figures = {"step": outcome.steps, "tokens": outcome.tokens, **task.validate(model)}
        text = task.sample(model)
    outcome.validation_rows.append(figures)
    if text is not None:
        outcome.samples.append((outcome.steps, text))
    for observer in observers:
        observer.validated(figures)
        if text is not None:
            observer.sampled(outcome.steps, text)
    improved = figures["loss_nats"] < outcome.best_loss_nats
    if improved:
        outcome.best_loss_nats, outcome.best_step = figures["loss_nats"], outcome.steps
    return improved


def _waited_long_enough(outcome: Outcome, patience: int) -> bool:
    since_best = sum(row["step"] > outcome.best_step for row in outcome.validation_rows)
    return patience > 0 and since_best >= patience


def _check_finite(
    what: str, value: float, step: int, task: Task, settings: TrainingParams, keeper: Keeper | None
) -> None:
    if not math.isfinite(value):
        kept = keeper.newest() if keeper else None
        section = task.learning_rate_key.split(".")[0]
        raise DivergedError(
            f"the {what} is no number at step {step}" + (f", the last good state is {kept}" if kept else ""),
            got=str(value),
            do=f"lower {task.learning_rate_key} (now {settings.learning_rate:g}), {section}.weight_decay or "
            f"{section}.max_grad_norm, lengthen {section}.warmup_steps, or set {section}.precision to fp32",
        )


def _copy_of_trainable(model: nn.Module) -> dict[str, Tensor]:
    """The weights that training may change, set aside."""
    return {name: parameter.detach().clone() for name, parameter in _trainable(model)}


def _trainable(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad)


class _Window:
    """Sums over the steps since the last row, and the gradient's norm at the last of them."""

    def __init__(
        self, loss_sum: float = 0.0, n_targets: int = 0, n_tokens: int = 0, grad_norm: float = 0.0, busy_s: float = 0.0
    ) -> None:
        self.loss_sum, self.n_targets, self.n_tokens, self.grad_norm = loss_sum, n_targets, n_tokens, grad_norm
        self.busy_s = busy_s
        self.since = time.perf_counter()

    def add(self, loss_sum: float, n_targets: int, n_tokens: int, grad_norm: float) -> None:
        self.loss_sum += loss_sum
        self.n_targets += n_targets
        self.n_tokens += n_tokens
        self.grad_norm = grad_norm
        self.busy_s += time.perf_counter() - self.since
        self.restart_clock()

    def sums(self) -> dict[str, float]:
        """What `_Window(**sums)` goes on from."""
        names = ("loss_sum", "n_targets", "n_tokens", "grad_norm", "busy_s")
        return {name: getattr(self, name) for name in names}

    def restart_clock(self) -> None:
        """Leave out the time since the last step, which went into validation."""
        self.since = time.perf_counter()

    @property
    def loss_nats(self) -> float:
        return self.loss_sum / max(1, self.n_targets)

    @property
    def tokens_per_s(self) -> float:
        return self.n_tokens / max(1e-9, self.busy_s)
