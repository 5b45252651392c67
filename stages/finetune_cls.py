"""finetune-cls: make a classifier of the pretrained model."""

from typing import Any

from groundup.config import FROM_RANDOM
from groundup.files import folder_written_atomically
from groundup.report.tables import write_training_report
from groundup.tracking.stage import StageRun
from stages.common import stage
from stages.paths import CLASSIFIER, PRETRAINED, REPORTS, SPLITS


@stage("finetune-cls", reads=("seed", "finetune_cls"))
def finetune_cls(params: Any, run: StageRun) -> None:
    """Give the pretrained model a head for the classes, fine-tune it on the messages, choose a threshold for two."""
    from groundup.model.initial import new_model
    from groundup.tasks.classify import LabelledRows
    from groundup.tasks.fewer_rows import drawn_rows
    from groundup.tasks.fine_tune_classifier import fine_tune_classifier
    from groundup.train.checkpoint import load_model, save_model
    from groundup.train.precision import prepare_runtime
    from groundup.train.resume import checkpoints_of

    values, inputs = params.declared_values(), (PRETRAINED, SPLITS / "messages")
    with checkpoints_of("finetune-cls", values, inputs, params.runtime.checkpoint_interval_s) as checkpoints:
        settings = params.finetune_cls
        device = prepare_runtime(params.runtime)
        trunk, tokenizer, origin = load_model(PRETRAINED, device)
        unlabelled, validation = (LabelledRows.load(SPLITS / "messages" / side) for side in ("train", "validation"))
        rows, shape = drawn_rows(unlabelled, settings.train_rows, params.seed), trunk.config
        data: dict[str, Any] = {"rows": rows, "unlabelled": unlabelled, "validation": validation}
        tuned = fine_tune_classifier(
            trunk, tokenizer, settings, **data, seed=params.seed, keeper_of=checkpoints.part, observers=[run]
        )
        figures: dict[str, Any] = tuned.figures | {"rows": len(rows.labels)}
        with folder_written_atomically(CLASSIFIER) as folder:
            save_model(folder, tuned.model, tokenizer, tuned.facts)
            if settings.from_random:  # what pretraining buys: the same training without it
                beginner = fine_tune_classifier(
                    new_model(shape, origin["initial_weights"], params.seed).to(device),
                    tokenizer,
                    settings,
                    **data,
                    seed=params.seed,
                    keeper_of=lambda name: checkpoints.part(f"{FROM_RANDOM}-{name}"),
                    called="random weights",
                )
                (folder / FROM_RANDOM).mkdir()
                save_model(folder / FROM_RANDOM, beginner.model, tokenizer, beginner.facts)
                figures[FROM_RANDOM] = beginner.outcome.metrics() | beginner.figures
        run.log_figures(write_training_report(REPORTS / "finetune_cls", tuned.outcome, figures))
        run.log_path(CLASSIFIER)


if __name__ == "__main__":
    finetune_cls()
