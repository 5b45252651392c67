"""Writing the evaluation down: the summary, tables for DVC's plots, images, samples and a report to read."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from sklearn.metrics import confusion_matrix, roc_curve

from groundup.evaluation.classifier import ClassifierScores
from groundup.evaluation.evaluated import Evaluated
from groundup.evaluation.metrics import each_against_the_rest
from groundup.files import write_json_atomically, write_text_atomically
from groundup.report.plots import RocCurves, plot_confusion, plot_losses, plot_roc
from groundup.report.say import (
    classifier_columns,
    classifier_gain_words,
    f1_of,
    gain_words,
    of_every_kind,
    unseen_classes,
)
from groundup.report.tables import TRAIN_FILE, VALIDATION_FILE, read_table, rounded, write_table

TRAININGS = {"pretrain": "Pretraining", "finetune_cls": "Classifier", "finetune_instruct": "Instruction follower"}
STORIES_FILE = "stories.json"
SHOWN_STORIES, SHOWN_ANSWERS = 5, 14
POOLED = "all classes, pooled"


def write_evaluation(
    reports: Path,
    folder: Path,
    language: Evaluated,
    classifier: Evaluated,
    scores: ClassifierScores,
    instruct: Evaluated,
    split: Mapping[str, Any],
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
    called = scores.classes.called(scores.probabilities["GPT"])
    counts = confusion_matrix(scores.labels, called, labels=range(len(names)))
    plot_confusion(folder / "confusion.png", counts, names)
    curves_of_roc = roc_curves(scores)
    plot_roc(folder / "roc.png", curves_of_roc)

    write_table(
        reports / "confusion.csv",
        [
            {"is": names[label], "called": names[call]}
            for label, call in zip(scores.labels.tolist(), called.tolist(), strict=True)
        ],
    )
    false_alarms, caught, _ = roc_curve(*next(iter(curves_of_roc.values())))
    write_table(
        reports / "roc.csv",
        [{"false_alarms": x, "caught": y} for x, y in zip(false_alarms.tolist(), caught.tolist(), strict=True)],
    )
    for name, evaluated in (("language_model", language), ("classifier", classifier), ("instruct", instruct)):
        write_json_atomically(folder / f"{name}_samples.json", evaluated.samples)
    if language.stories:
        write_json_atomically(folder / STORIES_FILE, language.stories)
    write_text_atomically(
        folder / "report.md", render_report(summary, language, classifier, instruct, names, split, curves)
    )
    write_json_atomically(reports / "summary.json", summary)
    return summary


def roc_curves(scores: ClassifierScores) -> RocCurves:
    """What the ROC is drawn of: the positive one of two classes, by each classifier; of more each class, by the GPT.

    The first is the one for `dvc plots`. With more than two classes it pools the calls of all of them: each class and
    row is one call.
    """
    if scores.classes.has_positive:
        return {name: (scores.labels, each[:, 1]) for name, each in scores.probabilities.items()}
    probabilities = scores.probabilities["GPT"]
    has_it = scores.labels[:, None] == np.arange(probabilities.shape[1])
    pooled = {POOLED: (has_it.ravel(), probabilities.ravel())}
    return pooled | each_against_the_rest(scores.labels, probabilities, scores.classes.names)


def render_report(
    summary: Mapping[str, Any],
    language: Evaluated,
    classifier: Evaluated,
    instruct: Evaluated,
    classes: Sequence[str],
    split: Mapping[str, Any],
    curves: Mapping[str, tuple[list[dict[str, float]], list[dict[str, float]]]],
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
        "classifier_gain_words": classifier_gain_words,
        "gain_words": gain_words,
        "columns": classifier_columns(classifier.figures),
        "f1_of": f1_of,
    }
    mistakes = sorted(
        (row for row in classifier.samples if not row["right"]),
        key=lambda row: -abs(row["probability"] - classifier.figures.get("threshold", 0.0)),
    )
    template = environment.get_template("report.md.jinja")
    return template.render(
        summary=summary,
        continuations=language.samples,
        stories=language.stories[:SHOWN_STORIES],
        mistakes=mistakes[:10],
        answers=of_every_kind(instruct.samples, SHOWN_ANSWERS),
        classes=classes,
        unseen=unseen_classes(classifier.figures),
        split=split,
        curves=curves,
    )


def indented(text: str) -> str:
    """Text as a Markdown code block, in which nothing is markup."""
    return "\n".join("    " + line for line in re.split(r"\r\n|\r|\n", text))


def literal(text: str) -> str:
    """Text on a line of prose, in which nothing is markup."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
