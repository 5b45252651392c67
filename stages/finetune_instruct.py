"""finetune-instruct: teach the pretrained model to follow instructions."""

from typing import Any

from groundup.config import FROM_RANDOM
from groundup.files import folder_written_atomically, write_text_atomically
from groundup.report.tables import training_samples, write_training_report
from groundup.tracking.stage import StageRun
from stages.common import stage
from stages.paths import GIVEN_TO_INSTRUCT, INSTRUCTED, PRETRAINED, REPORTS, SPLITS


@stage("finetune-instruct", reads=("seed", "finetune_instruct"))
def finetune_instruct(params: Any, run: StageRun) -> None:
    """Fine-tune the pretrained model on instructions in the Alpaca form."""
    from groundup.model.initial import new_model
    from groundup.tasks.instruct import InstructionRows, InstructTask, fine_tune
    from groundup.train.checkpoint import save_model
    from groundup.train.given_weights import starting_point
    from groundup.train.precision import prepare_runtime
    from groundup.train.progress import TrainingProgress
    from groundup.train.resume import checkpoints_of

    values, inputs = params.declared_values(), (PRETRAINED, GIVEN_TO_INSTRUCT, SPLITS / "instructions")
    with checkpoints_of("finetune-instruct", values, inputs, params.runtime.checkpoint_interval_s) as checkpoints:
        settings = params.finetune_instruct
        device = prepare_runtime(params.runtime)
        model, tokenizer, initial_weights = starting_point(settings.init, PRETRAINED, GIVEN_TO_INSTRUCT, device)
        rows, validation = (InstructionRows.load(SPLITS / "instructions" / side) for side in ("train", "validation"))
        task = InstructTask(rows, validation, tokenizer, settings, model.config.context_length, params.seed, device)
        with TrainingProgress("finetune-instruct") as progress:
            outcome = fine_tune(
                model,
                task,
                settings,
                seed=params.seed,
                observers=[progress, run],
                keeper=checkpoints.part("pretrained"),
            )
        compared: dict[str, Any] = {}
        with folder_written_atomically(INSTRUCTED) as folder:
            save_model(folder, model, tokenizer, {})
            write_text_atomically(folder / "samples.txt", training_samples(outcome))
            if settings.from_random:  # what pretraining buys: the same training without it
                beginner = new_model(model.config, initial_weights, params.seed).to(device)
                with TrainingProgress("finetune-instruct, random weights") as progress:
                    from_random = fine_tune(
                        beginner,
                        task,
                        settings,
                        seed=params.seed,
                        observers=[progress],
                        keeper=checkpoints.part(FROM_RANDOM),
                    )
                (folder / FROM_RANDOM).mkdir()
                save_model(folder / FROM_RANDOM, beginner, tokenizer, {})
                compared = {FROM_RANDOM: from_random.metrics()}
        run.log_figures(write_training_report(REPORTS / "finetune_instruct", outcome, compared))
        run.log_path(INSTRUCTED)


if __name__ == "__main__":
    finetune_instruct()
