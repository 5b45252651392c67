"""evaluate: measure the three models on the test side, beside their baselines."""

from typing import Any

from groundup.data.split import SIDES
from groundup.files import folder_written_atomically, read_json, write_text_atomically
from groundup.report.say import HTML_FILE
from groundup.report.tables import METRICS_FILE
from groundup.tracking.stage import StageRun
from stages.common import stage
from stages.paths import CLASSIFIER, EVALUATION, INSTRUCTED, PRETRAINED, REPORTS, SPLITS

# The report tells with which settings all stages ran.
SETTINGS = ("seed", "data", "tokenize", "split", "model", "pretrain", "finetune_cls", "finetune_instruct", "evaluate")


@stage("evaluate", reads=SETTINGS)
def evaluate(params: Any, run: StageRun) -> None:
    """Write the test figures, baselines, samples, plots and the report."""
    from groundup.data.token_store import TokenStore
    from groundup.evaluation.classifier import evaluate_classifier
    from groundup.evaluation.glimpse import glimpse, write_glimpse
    from groundup.evaluation.instructions import evaluate_instructions
    from groundup.evaluation.language import evaluate_language_model
    from groundup.evaluation.stories import story_checker
    from groundup.report.cards import write_cards
    from groundup.report.html import render_html
    from groundup.report.record import read_reports
    from groundup.report.verdicts import verdicts_of
    from groundup.report.write import write_evaluation
    from groundup.tasks.classify import LabelledRows
    from groundup.tasks.fewer_rows import drawn_rows
    from groundup.tasks.instruct import InstructionRows
    from groundup.train.precision import prepare_runtime

    settings = params.evaluate
    device = prepare_runtime(params.runtime)
    checker = story_checker(params.data.corpus, params.data.sample.seed, params.data.sample.world_size)
    language = evaluate_language_model(PRETRAINED, SPLITS / "corpus", settings, params.seed, device, checker)
    messages = {side: LabelledRows.load(SPLITS / "messages" / side) for side in SIDES}
    messages["train"] = drawn_rows(messages["train"], params.finetune_cls.train_rows, params.seed)
    classifier, scores = evaluate_classifier(CLASSIFIER, messages, settings, params.seed, device)
    train, test = (InstructionRows.load(SPLITS / "instructions" / side) for side in ("train", "test"))
    instruct = evaluate_instructions(INSTRUCTED, test, train.rows, settings, params.seed, device)
    models, corpus = (PRETRAINED, CLASSIFIER, INSTRUCTED), TokenStore.load(SPLITS / "corpus" / "test")
    seen = glimpse(models, corpus, messages["test"], test, settings, params.seed, device)
    split_report = read_json(REPORTS / "split" / METRICS_FILE)
    figures = {"language_model": language.figures, "classifier": classifier.figures, "instruct": instruct.figures}
    told = params.declared_values()
    verdicts = verdicts_of(REPORTS, figures, params, told)
    with folder_written_atomically(EVALUATION) as folder:
        summary = write_evaluation(REPORTS, folder, language, classifier, scores, instruct, split_report, verdicts)
        write_glimpse(folder, seen)
        write_cards(REPORTS, folder, told)
        write_text_atomically(REPORTS / HTML_FILE, render_html(REPORTS, folder, told))
    run.log_figures(summary)
    run.log_path(EVALUATION)
    run.log_report(REPORTS / HTML_FILE)
    # So that plain `dvc repro` fills the pipeline's own run too.
    run.log_pipeline(*read_reports(REPORTS))


if __name__ == "__main__":
    evaluate()
