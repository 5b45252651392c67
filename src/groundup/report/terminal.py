"""What the three models can do, as one screen in a terminal, for someone who has never trained one."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from groundup.console import LINE_WIDTH, one_line
from groundup.errors import shorten
from groundup.evaluation.marks import BREAK_MARK
from groundup.files import read_json
from groundup.report import say
from groundup.report.say import (
    HTML_FILE,
    classifier_gain_words,
    comparison_words,
    f1_of,
    gain_words,
    percent,
    picked,
    unseen_classes,
)

VERDICTS_SHOWN = 3
SHOWN = 3  # samples of each model
RIGHT, WRONG, UNJUDGED = "✓", "✗", "·"
VERDICT_MARKS = {"warning": "!", "note": UNJUDGED, "good": RIGHT}
LONGEST_SHOWN = 300  # characters of a sample, on a terminal of any width
CLASSES_SHOWN, LONGEST_LABEL = 5, 40

PREDICTORS = {"ngram": "counting up to {order} tokens", "xz": "xz that has read the train text"}
SIMPLE_WAYS = say.BASELINES | {"majority": "calling all the same"}

Sample = tuple[str, str]  # a mark, and what is shown beside it


def print_summary(reports: Path) -> None:
    """Print what each of the three models does, how well, beside what is possible and what is simple, with samples.

    Raises: GroundupError if the pipeline is not finished.
    """
    summary = read_json(reports / "summary.json")
    folder = reports / "evaluate"
    knows_width = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(width=None if knows_width else LINE_WIDTH, highlight=False, emoji=False)
    console.print("[bold]What the three models can do with texts that no training has seen[/]")
    messages, classifier = _read_samples(folder / "classifier_samples.json"), summary["classifier"]
    for title, sentences, samples in (
        ("Language model: writes on, token by token", _language_words(summary["language_model"]), _writings(folder)),
        (
            _classifier_title(messages, classifier),
            _classifier_words(classifier),
            _calls(messages),
        ),
        (
            "Instruction follower: does what it is asked",
            _instruct_words(summary["instruct"]),
            _answers(_read_samples(folder / "instruct_samples.json")),
        ),
    ):
        console.print()
        console.print(Text(title, style="bold"))
        for sentence in sentences:
            console.print(Padding(Text(sentence), (0, 0, 0, 2), expand=False))
        for mark, text in samples:
            line = Text(f"    {mark} ", style={RIGHT: "green", WRONG: "red"}.get(mark, ""))
            line.append(one_line(text)[:LONGEST_SHOWN], style="default")
            console.print(line, no_wrap=True, overflow="ellipsis")
    verdicts = _read_samples(folder / "verdicts.json")
    if verdicts:
        console.print()
        for mark, text in _verdicts(verdicts):
            console.print(Text(f"{mark} {text}"), no_wrap=True, overflow="ellipsis")
    split = summary["split"]
    console.print()
    console.print(f"Texts that stand both in training and in test: {split['leaks']} exact, {split['near_leaks']} near.")
    if folder.is_dir():
        page, as_text = reports / HTML_FILE, folder / "report.md"
        shown = f"{page} (for a terminal: {as_text})" if page.exists() else str(as_text)
        console.print(Text(f"The whole report: {shown}", style="bold"))
        console.print(
            "Curves and runs: make ui, then http://127.0.0.1:5000   What changed since the commit: make compare"
        )


def _read_samples(path: Path) -> list[dict[str, Any]]:
    """Rows of samples; none if the folder was not fetched."""
    rows: list[dict[str, Any]] = read_json(path) if path.exists() else []
    return rows


def _verdicts(rows: Sequence[Mapping[str, Any]]) -> Iterator[Sample]:
    """The first sentence of the first verdicts, which are those that matter most, and what to change."""
    for row in rows[:VERDICTS_SHOWN]:
        change = f" -> {row['key']}" if row["key"] else ""
        first = row["text"].partition(". ")[0].removesuffix(".")
        yield VERDICT_MARKS[row["level"]], one_line(f"{row['model']}: {first}.{change}")[:LONGEST_SHOWN]


def _language_words(figures: Mapping[str, Any]) -> Iterator[str]:
    needs = f"Unseen text surprises it by {figures['bits_per_byte']:.3f} bits per byte"
    perplexity = f"perplexity per token {figures['perplexity']:.1f}"
    if "ratio_to_floor" in figures:
        yield (
            f"{needs}; one who knows every rule, by {figures['floor_bits_per_byte']:.3f}. "
            f"model / floor: {figures['ratio_to_floor']:.3f} (1 is perfect; {perplexity})."
        )
    else:
        yield f"{needs} (8 would be plain bytes; {perplexity})."
    if "baselines" in figures:
        ways = [
            f"{name.format(**figures['baselines'][key])} {figures['baselines'][key]['bits_per_byte']:.3f}"
            for key, name in PREDICTORS.items()
            if key in figures["baselines"]
        ]
        yield f"Simple ways: {', '.join(ways)} bits per byte."
    if "stories" in figures:
        stories = figures["stories"]
        yield (
            f"Of {stories['written']} documents written from nothing {percent(stories['copies'])} are copies of what "
            f"it read, {percent(stories['ended'])} come to an end."
        )
        if "keep_rules" in stories:
            kinds = ", ".join(
                f"{percent(row['keep_rules'])} of {row['written']} ({kind})" for kind, row in stories["by_kind"].items()
            )
            yield f"Every rule and fact is kept by {percent(stories['keep_rules'])}: {kinds}."


def _writings(folder: Path) -> Iterator[Sample]:
    stories = _read_samples(folder / "stories.json")
    if not stories:
        samples = _read_samples(folder / "language_model_samples.json")
        temperatures = sorted({row["temperature"] for row in samples})
        middling = [row for row in samples if row["temperature"] == temperatures[len(temperatures) // 2]]
        for row in middling[:SHOWN]:
            yield UNJUDGED, row["prompt"] + row["text"]
        return
    for story in picked(stories, SHOWN, *([_keeps_rules, _breaks_a_rule] if "keeps_rules" in stories[0] else [])):
        copied = "(a copy) " if story["copy"] else ""
        if _breaks_a_rule(story):
            yield WRONG, f"{copied}breaks a rule at {BREAK_MARK} … {story['broke_at']} …"
        else:
            yield RIGHT if _keeps_rules(story) else UNJUDGED, copied + story["text"]


def _keeps_rules(story: Mapping[str, Any]) -> bool:
    return story.get("keeps_rules") is True


def _breaks_a_rule(story: Mapping[str, Any]) -> bool:
    return story.get("keeps_rules") is False


def _classifier_title(messages: Sequence[Mapping[str, Any]], figures: Mapping[str, Any]) -> str:
    labels = list(figures["per_class"]) if "per_class" in figures else sorted({row["label"] for row in messages})
    into = " and ".join(labels) if len(labels) <= 2 else f"{len(labels)} classes"
    return f"Classifier: sorts messages{' into ' + one_line(into) if labels else ''}"


def _classifier_words(figures: Mapping[str, Any]) -> Iterator[str]:
    f1 = "macro F1" if "per_class" in figures else "F1"
    yield (
        f"It is right for {percent(figures['accuracy'])} of {figures['rows']} messages "
        f"(likely between {percent(figures['accuracy_low'])} and {percent(figures['accuracy_high'])}); "
        f"{f1} {f1_of(figures):.3f}."
    )
    if "best_possible" in figures:
        yield f"Best possible: {percent(figures['best_possible'])}, as some messages do not tell what they are."
    simple = [
        f"{words} {percent(figures['baselines'][name]['accuracy'])} ({f1} {f1_of(figures['baselines'][name]):.3f})"
        for name, words in SIMPLE_WAYS.items()
        if name in figures["baselines"]
    ]
    yield f"Simple ways: {', '.join(simple)}."
    if compared := comparison_words(figures, SIMPLE_WAYS):
        yield compared
    if "from_random" in figures:
        yield classifier_gain_words(figures)
    if "per_class" in figures:
        yield from _class_words(figures)


def _class_words(figures: Mapping[str, Any]) -> Iterator[str]:
    """What is found of each class, the hardest first; and which cannot be told."""
    found = {name: row["recall"] for name, row in figures["per_class"].items() if row["support"]}
    hardest = sorted(found, key=lambda name: found[name])
    finds = ", ".join(f"{percent(found[name])} of {_named(name)}" for name in hardest[:CLASSES_SHOWN])
    others = f", and more of the other {len(hardest) - CLASSES_SHOWN} classes" if len(hardest) > CLASSES_SHOWN else ""
    yield f"It finds {finds}{others}."
    if unseen := unseen_classes(figures):
        yield f"No test message is {' or '.join(map(_named, unseen))}, so how well that is told is not known."


def _named(label: str) -> str:
    return shorten(one_line(label), LONGEST_LABEL)


def _calls(messages: Sequence[Mapping[str, Any]]) -> Iterator[Sample]:
    labels = sorted({row["label"] for row in messages})[: SHOWN - 1]  # so that a wrong one has its place
    sorts = [lambda row, label=label: row["right"] and row["label"] == label for label in labels]
    for row in picked(messages, SHOWN, *sorts, lambda row: not row["right"]):
        if row["right"]:
            yield RIGHT, f"called {row['called']}, rightly: {row['text']}"
        else:
            yield WRONG, f"called {row['called']}, but it is {row['label']}: {row['text']}"


def _instruct_words(figures: Mapping[str, Any]) -> Iterator[str]:
    facts = ""
    if "facts_exact_match" in figures:
        facts = f"; {percent(figures['facts_exact_match'])} of those that ask for a fact"
    yield (
        f"It answers {percent(figures['exact_match'])} of {figures['rows']} instructions with the right words{facts} "
        f"(token F1 {figures['token_f1']:.3f})."
    )
    if "from_random" in figures:
        yield gain_words(figures)


def _answers(samples: Sequence[Mapping[str, Any]]) -> Iterator[Sample]:
    shown = picked(
        samples,
        SHOWN,
        lambda row: row["kind"] == "fact",
        lambda row: row["kind"] != "fact" and row["exact_match"],
        lambda row: row["kind"] != "fact" and not row["exact_match"],
    )
    for row in shown:
        asked = f"{row['instruction']} {row['input']}".strip()
        said = f"{asked} -> {row['answer']}"
        yield (RIGHT, said) if row["exact_match"] else (WRONG, f"{said} (right: {row['wanted']})")
