"""Writing the evaluation down: the summary, tables for DVC's plots, images, samples and a report to read."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from sklearn.metrics import confusion_matrix, roc_curve

from groundup.evaluation.classifier import GPT, ClassifierScores
from groundup.evaluation.diagnosis import Finding
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.slices import FEWEST_ROWS
from groundup.files import write_json_atomically, write_text_atomically
from groundup.report import language as language_words
from groundup.report import say
from groundup.report.classifier_files import curves_of, mistakes_of, write_classifier_files
from groundup.report.plots import plot_confusion, plot_loss_by_position, plot_losses, plot_roc
from groundup.report.say import (
    classifier_columns,
    classifier_gain_words,
    f1_of,
    gain_words,
    of_every_kind,
    unseen_classes,
    versus_words,
    weakest_answers,
)
from groundup.report.tables import TRAIN_FILE, VALIDATION_FILE, read_table, rounded, write_table
from groundup.report.verdicts import VERDICTS_FILE, as_rows

TRAININGS = {"pretrain": "Pretraining", "finetune_cls": "Classifier", "finetune_instruct": "Instruction follower"}
STORIES_FILE = "stories.json"
SHOWN_STORIES, SHOWN_ANSWERS, SHOWN_MISTAKES, SHOWN_WEAK_ANSWERS = 5, 14, 10, 8


def write_evaluation(
    reports: Path,
    folder: Path,
    language: Evaluated,
    classifier: Evaluated,
    scores: ClassifierScores,
    instruct: Evaluated,
    split: Mapping[str, Any],
    verdicts: Sequence[Finding] = (),
) -> dict[str, Any]:
    """Write `summary.json` and the tables into `reports`, the images, samples and the report into `folder`.

    Returns: the summary.
    """
    summary: dict[str, Any] = rounded(
        {
            "language_model": language.figures,
            "classifier": classifier.figures,
            "instruct": instruct.figures,
            "split": {"leaks": split["leaks"], "near_leaks": split["near_leaks"]},
        }
    )
    curves = {
        name: (read_table(reports / name / TRAIN_FILE), read_table(reports / name / VALIDATION_FILE))
        for name in TRAININGS
    }
    for name, (train, validation) in curves.items():
        plot_losses(folder / f"{name}_losses.png", TRAININGS[name], train, validation)
    names = scores.classes.names
    called = scores.called[GPT]
    counts = confusion_matrix(scores.labels, called, labels=range(len(names)))
    plot_confusion(folder / "confusion.png", counts, names)
    curves_of_roc = curves_of(scores)
    plot_roc(folder / "roc.png", curves_of_roc)
    write_classifier_files(folder, scores, classifier.samples)

    write_table(
        reports / "confusion.csv",
        [
            {"is": names[label], "called": names[call]}
            for label, call in zip(scores.labels.tolist(), called.tolist(), strict=True)
        ],
    )
    first_curve = [roc_curve(*each)[:2] for each in list(curves_of_roc.values())[:1]]
    write_table(
        reports / "roc.csv",
        [{"false_alarms": x, "caught": y} for each in first_curve for x, y in zip(*map(list, each), strict=True)],
        ["false_alarms", "caught"],
    )
    for name, evaluated in (("language_model", language), ("classifier", classifier), ("instruct", instruct)):
        write_json_atomically(folder / f"{name}_samples.json", evaluated.samples)
    if verdicts:
        write_json_atomically(folder / VERDICTS_FILE, as_rows(verdicts))
    if language.detail:
        detail = language_words.rounded_throughout(language.detail)
        write_json_atomically(folder / language_words.DETAIL_FILE, detail)
        plot_loss_by_position(folder / language_words.POSITIONS_PLOT, detail["by_position"])
    if language.stories:
        write_json_atomically(folder / STORIES_FILE, language.stories)
    write_text_atomically(
        folder / "report.md", render_report(summary, language, classifier, instruct, names, split, curves, verdicts)
    )
    write_json_atomically(reports / "summary.json", summary)
    return summary


def render_report(
    summary: Mapping[str, Any],
    language: Evaluated,
    classifier: Evaluated,
    instruct: Evaluated,
    classes: Sequence[str],
    split: Mapping[str, Any],
    curves: Mapping[str, tuple[list[dict[str, float]], list[dict[str, float]]]],
    verdicts: Sequence[Finding] = (),
) -> str:
    """The report as Markdown; what models and data say stands in it as literal text."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("groundup.report", "."),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"indented": indented, "literal": literal, "percent": lambda value: f"{100 * value:.1f} %"}
    environment.globals |= {
        "trainings": TRAININGS,
        "language": language_words,
        "say": say,
        "fewest_rows": FEWEST_ROWS,
        "columns": classifier_columns(classifier.figures),
        "classifier_gain_words": classifier_gain_words,
        "gain_words": gain_words,
        "versus_words": versus_words,
        "f1_of": f1_of,
    }
    weakest = weakest_answers(instruct.samples, SHOWN_WEAK_ANSWERS)
    template = environment.get_template("report.md.jinja")
    return template.render(
        summary=summary,
        continuations=language.samples,
        stories=language.stories[:SHOWN_STORIES],
        detail=language.detail,
        mistakes=mistakes_of(classifier.samples, classes)[:SHOWN_MISTAKES],
        weakest=weakest,
        answers=of_every_kind([row for row in instruct.samples if row not in weakest], SHOWN_ANSWERS),
        classes=classes,
        baselines=[(name, summary["classifier"]["baselines"][key]) for key, name in say.BASELINES.items()],
        unseen=unseen_classes(classifier.figures),
        split=split,
        curves=curves,
        verdicts=verdicts,
    )


def indented(text: str) -> str:
    """Text as a Markdown code block, in which nothing is markup."""
    return "\n".join("    " + line for line in re.split(r"\r\n|\r|\n", text))


def literal(text: str) -> str:
    """Text on a line of prose, in which nothing is markup."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
