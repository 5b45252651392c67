"""pretrain: teach a GPT to predict the next token, from random weights or from given ones."""

from typing import Any

from groundup.config import SCRATCH
from groundup.files import folder_written_atomically, write_text_atomically
from groundup.report.tables import training_samples, write_training_report
from groundup.tracking.stage import StageRun
from stages.common import stage
from stages.paths import GIVEN_TO_PRETRAIN, PRETRAINED, REPORTS, SPLITS, TOKENIZER


@stage("pretrain", reads=("seed", "model", "pretrain"))
def pretrain(params: Any, run: StageRun) -> None:
    """Train the GPT on the corpus and keep the weights that predict the validation side best."""
    from groundup.data.token_store import TokenStore
    from groundup.model.gpt import GPTConfig
    from groundup.model.initial import new_model
    from groundup.tasks.language import LanguageTask
    from groundup.tokenizer.encoding import Tokenizer
    from groundup.train.checkpoint import save_model
    from groundup.train.given_weights import load_given_model
    from groundup.train.loop import train
    from groundup.train.memory import refuse_what_cannot_fit
    from groundup.train.precision import prepare_runtime
    from groundup.train.progress import TrainingProgress
    from groundup.train.resume import checkpoints_of

    values, inputs = params.declared_values(), (GIVEN_TO_PRETRAIN, TOKENIZER, SPLITS / "corpus")
    interval_s, steps_key = params.runtime.checkpoint_interval_s, "pretrain.max_steps"
    with checkpoints_of("pretrain", values, inputs, interval_s, steps_key) as checkpoints:
        device = prepare_runtime(params.runtime)
        tokenizer = Tokenizer.load(TOKENIZER)
        tokens, validation = (TokenStore.load(SPLITS / "corpus" / side) for side in ("train", "validation"))
        context_length = params.model.context_length
        task = LanguageTask(tokens, validation, tokenizer, params.pretrain, context_length, params.seed, device)
        config = GPTConfig(vocab_size=tokenizer.vocab_size, **vars(params.model))
        refuse_what_cannot_fit(config, device, trains=task.max_steps > 0)
        from_scratch = params.pretrain.init == SCRATCH
        initial_weights = params.pretrain.initial_weights if from_scratch else "gpt2"
        if from_scratch:
            model = new_model(config, initial_weights, params.seed).to(device)
        else:
            model = load_given_model(GIVEN_TO_PRETRAIN, config, tokenizer, device)
        with TrainingProgress("pretrain") as progress:
            outcome = train(
                model,
                task,
                params.pretrain,
                seed=params.seed,
                observers=[progress, run],
                keeper=checkpoints.part("pretrain"),
                validate_first=not from_scratch,
            )
        with folder_written_atomically(PRETRAINED) as folder:
            save_model(folder, model, tokenizer, {"initial_weights": initial_weights})
            write_text_atomically(folder / "samples.txt", training_samples(outcome))
        run.log_figures(write_training_report(REPORTS / "pretrain", outcome, {"parameters": model.n_parameters}))
        run.log_path(PRETRAINED)


if __name__ == "__main__":
    pretrain()
