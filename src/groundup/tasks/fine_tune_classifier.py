"""From a language model to a classifier: it learns to write the messages, then to sort them, then where the line is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from groundup.config import FinetuneClsParams
from groundup.model.gpt import GPT, GPTClassifier, choose_trainable, set_dropout
from groundup.model.lora import merge_lora
from groundup.seeding import seed_torch
from groundup.tasks.classes import Classes, class_names
from groundup.tasks.classify import ClassifyTask, LabelledRows, class_logits, class_probabilities, learn_to_write
from groundup.tasks.threshold import with_best_threshold
from groundup.tokenizer.encoding import Tokenizer
from groundup.train.loop import Observer, Outcome, train
from groundup.train.progress import TrainingProgress
from groundup.train.resume import Keeper


@dataclass(frozen=True)
class FineTuned:
    """A classifier with the training that made it, what is saved beside its weights, and what is reported of it."""

    model: GPTClassifier
    outcome: Outcome
    facts: dict[str, Any]
    figures: dict[str, Any]


def fine_tune_classifier(
    trunk: GPT,
    tokenizer: Tokenizer,
    settings: FinetuneClsParams,
    *,
    rows: LabelledRows,
    unlabelled: LabelledRows,
    validation: LabelledRows,
    seed: int,
    keeper_of: Callable[[str], Keeper],
    observers: Sequence[Observer] = (),
    called: str = "",
) -> FineTuned:
    """Train a classifier on top of a language model, which becomes its trunk.

    Args:
        rows: what it learns the classes from.
        unlabelled: messages that it learns to write from; their labels are not read.
        keeper_of: keeps the states of a part of the training, by its name.
        observers: of the sorting, beside a bar.
        called: what the bars say of the model, if it is not the usual one.
    Raises: as `class_names`, `learn_to_write` and `train`.
    """
    title = f"finetune-cls, {called}" if called else "finetune-cls"
    classes = class_names(rows.labels, settings.positive_label)
    figures: dict[str, Any] = {}
    if settings.language_steps:
        with TrainingProgress(f"{title}, writing messages") as progress:
            writing = learn_to_write(
                trunk,
                unlabelled,
                validation,
                tokenizer,
                settings,
                seed=seed,
                observers=[progress],
                keeper=keeper_of("writing"),
            )
        figures["writing"] = writing.metrics()
    rows, validation = (each.as_read(tokenizer, spelled_out=settings.spelled_out) for each in (rows, validation))
    seed_torch(seed, "class head")
    model = GPTClassifier(trunk, len(classes), settings.pooling).to(trunk.device)
    choose_trainable(model, settings.trainable, settings.lora)
    set_dropout(model, settings.dropout)
    task = ClassifyTask(rows, validation, classes, settings, trunk.config.context_length, seed, trunk.device)
    with TrainingProgress(title) as progress:
        outcome = train(model, task, settings, seed=seed, observers=[progress, *observers], keeper=keeper_of("sorting"))
    merge_lora(model)
    probabilities = class_probabilities(class_logits(model, validation))
    rule = with_best_threshold(Classes(classes), task.validation_labels, probabilities, settings.threshold_for)
    if rule.threshold is not None:
        figures["threshold"] = rule.threshold
    facts = {
        "labels": classes,
        "threshold": rule.threshold,
        "threshold_for": settings.threshold_for,
        "spelled_out": settings.spelled_out,
    }
    return FineTuned(model, outcome, facts, figures)
