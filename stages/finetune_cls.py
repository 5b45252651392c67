"""finetune-cls: make a classifier of the pretrained model."""

from typing import Any

from groundup.files import folder_written_atomically
from groundup.report.tables import write_training_report
from groundup.seeding import seed_torch
from groundup.tracking import StageRun
from stages.common import stage
from stages.paths import CLASSIFIER, PRETRAINED, REPORTS, SPLITS


@stage("finetune-cls", reads=("seed", "finetune_cls"))
def finetune_cls(params: Any, run: StageRun) -> None:
    """Give the pretrained model a head for the classes, fine-tune it on the messages, choose a threshold for two."""
    from groundup.model.gpt import GPTClassifier, choose_trainable, set_dropout
    from groundup.model.lora import merge_lora
    from groundup.tasks.classes import Classes, class_names
    from groundup.tasks.classify import (
        ClassifyTask,
        LabelledRows,
        class_logits,
        class_probabilities,
        learn_to_write,
    )
    from groundup.tasks.threshold import with_best_threshold
    from groundup.train.checkpoint import load_model, save_model
    from groundup.train.loop import train
    from groundup.train.precision import prepare_runtime
    from groundup.train.progress import TrainingProgress
    from groundup.train.resume import checkpoints_of

    values, inputs = params.declared_values(), (PRETRAINED, SPLITS / "messages")
    with checkpoints_of("finetune-cls", values, inputs, params.runtime.checkpoint_interval_s) as checkpoints:
        settings = params.finetune_cls
        device = prepare_runtime(params.runtime)
        trunk, tokenizer, _ = load_model(PRETRAINED, device)
        rows, validation = (LabelledRows.load(SPLITS / "messages" / side) for side in ("train", "validation"))
        classes = class_names(rows.labels, settings.positive_label)
        figures: dict[str, Any] = {}
        if settings.language_steps:
            with TrainingProgress("finetune-cls, writing messages") as progress:
                writing = learn_to_write(
                    trunk,
                    rows,
                    validation,
                    tokenizer,
                    settings,
                    seed=params.seed,
                    observers=[progress],
                    keeper=checkpoints.part("writing"),
                )
            figures["writing"] = writing.metrics()
        seed_torch(params.seed, "class head")
        model = GPTClassifier(trunk, len(classes)).to(device)
        choose_trainable(model, settings.trainable, settings.lora)
        set_dropout(model, settings.dropout)
        task = ClassifyTask(rows, validation, classes, settings, trunk.config.context_length, params.seed, device)
        with TrainingProgress("finetune-cls") as progress:
            outcome = train(
                model, task, settings, seed=params.seed, observers=[progress, run], keeper=checkpoints.part("sorting")
            )
        merge_lora(model)
        probabilities = class_probabilities(class_logits(model, validation))
        rule = with_best_threshold(Classes(classes), task.validation_labels, probabilities, settings.threshold_for)
        with folder_written_atomically(CLASSIFIER) as folder:
            facts = {"labels": classes, "threshold": rule.threshold, "threshold_for": settings.threshold_for}
            save_model(folder, model, tokenizer, facts)
        if rule.threshold is not None:
            figures["threshold"] = rule.threshold
        run.log_figures(write_training_report(REPORTS / "finetune_cls", outcome, figures))
        run.log_path(CLASSIFIER)


if __name__ == "__main__":
    finetune_cls()
