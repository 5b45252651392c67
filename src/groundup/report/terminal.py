"""The headline figures as one screen in a terminal."""

import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groundup.console import LINE_WIDTH, one_line
from groundup.files import read_json


def print_summary(reports: Path) -> None:
    """Print the figures of the three models beside their baselines, and a sample of each.

    Raises: GroundupError if the pipeline is not finished.
    """
    summary = read_json(reports / "summary.json")
    knows_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if knows_width else LINE_WIDTH, highlight=False, emoji=False)
    table = Table(title="On the test side, which no training has seen", title_justify="left")
    for column in ("model", "figure", "value", "for comparison"):
        table.add_column(column)
    for row in _rows(summary):
        table.add_row(*row)
    console.print(table)
    samples = reports / "evaluate"
    if samples.is_dir():
        story = read_json(samples / "language_model_samples.json")[0]
        message = read_json(samples / "classifier_samples.json")[0]
        answer = read_json(samples / "instruct_samples.json")[0]
        said = f"{'rightly' if message['right'] else 'wrongly'} sorted; it is {message['label']}"
        for name, text in (
            ("writes on", story["prompt"] + story["text"]),
            ("sorts", f"{message['text']} -> {said}"),
            ("answers", f"{answer['instruction']} {answer['input']} -> {answer['answer']}"),
        ):
            console.print(f"[bold]{name:>10}[/]  {escape(one_line(text)[:300])}")
        console.print(f"\nThe report: {samples / 'report.md'}   Compare runs: make compare   MLflow: make ui")


def _rows(summary: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    language, classifier, instruct = summary["language_model"], summary["classifier"], summary["instruct"]
    majority, tfidf = (classifier["baselines"][name] for name in ("majority", "tfidf_logreg"))
    interval = f"({classifier['accuracy_low']:.1%} to {classifier['accuracy_high']:.1%})"
    return [
        ("language model", "bits per byte", f"{language['bits_per_byte']:.3f}", "8 would be plain bytes"),
        ("", "perplexity per token", f"{language['perplexity']:.1f}", ""),
        (
            "classifier",
            "accuracy",
            f"{classifier['accuracy']:.1%} {interval}",
            f"majority class {majority['accuracy']:.1%}, TF-IDF + logistic regression {tfidf['accuracy']:.1%}",
        ),
        ("", "F1", f"{classifier['f1']:.3f}", f"majority class {majority['f1']:.3f}, TF-IDF {tfidf['f1']:.3f}"),
        ("instruction follower", "exact match", f"{instruct['exact_match']:.1%}", f"{instruct['rows']} instructions"),
        ("", "token F1", f"{instruct['token_f1']:.3f}", ""),
        ("split", "texts on two sides", str(summary["split"]["leaks"]), "must be 0"),
    ]
