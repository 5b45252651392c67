"""The verdicts at the top of the page: each model's most important figure, and what was found in curves and figures."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from groundup.report.html_common import Figures, Files, baselines_with, bounds, count, digits, interval, percent
from groundup.report.say import verdict

MODELS = {
    "language_model": "Language model",
    "pretrain": "Language model",
    "classifier": "Classifier",
    "finetune_cls": "Classifier",
    "instruct": "Instruction follower",
    "finetune_instruct": "Instruction follower",
    "split": "Data",
}
LEVELS = {"warning": "Warning", "note": "Note", "good": "Good"}


@dataclass(frozen=True)
class Mark:
    """A figure on a scale, beside others.

    Args:
        kind: `own` for the model the report is about, `other` for what it is compared with, `bound` for what cannot be
            passed.
        low, high: its interval, where it is known.
    """

    name: str
    value: float
    written: str
    kind: str = "other"
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A model's most important figure, in one sentence and beside what it is compared with."""

    model: str
    anchor: str
    sentence: str
    number: str
    unit: str
    interval: str
    marks: list[Mark]
    low: float
    high: float
    better: str

    def place(self, value: float) -> str:
        """Where a value stands on the scale. Units: percent of its width."""
        return f"{100 * min(1.0, max(0.0, (value - self.low) / (self.high - self.low))):.2f}"


def verdicts(summary: Figures) -> Iterator[Verdict]:
    """One for each model."""
    yield language_verdict(summary["language_model"])
    yield classifier_verdict(summary["classifier"])
    yield instruct_verdict(summary["instruct"])


def language_verdict(figures: Figures) -> Verdict:
    bits = figures["bits_per_byte"]
    others = baselines_with(figures, "bits_per_byte")
    marks = [Mark("this model", bits, digits(bits), "own", *bounds(figures, "bits_per_byte"))]
    marks += [Mark(name, row["bits_per_byte"], digits(row["bits_per_byte"])) for name, row in others.items()]
    sentence = f"It needs {digits(bits)} bits for each byte of unseen text; text that is not understood takes 8."
    if "ratio_to_floor" in figures:
        floor = figures["floor_bits_per_byte"]
        marks.append(Mark("floor: who knows every rule", floor, digits(floor), "bound"))
        more = figures["ratio_to_floor"] - 1
        sentence = (
            f"It needs {percent(more)} more bits for unseen text than one who knows every rule it was made by."
            if more >= 0
            else "It needs no more bits for unseen text than one who knows every rule it was made by."
        )
    if others:
        name, row = min(others.items(), key=lambda each: float(each[1]["bits_per_byte"]))
        share = 1 - bits / row["bits_per_byte"]
        compared = f"{percent(abs(share), 0)} {'fewer' if share > 0 else 'more'} than the best simple way, {name}."
        if "ratio_to_floor" in figures:
            sentence = f"{sentence.removesuffix('.')}, and {compared}"
        else:
            sentence = f"It needs {digits(bits)} bits for each byte of unseen text, {compared}"
    highest = max(mark.high or mark.value for mark in marks)
    if len(marks) == 1:
        marks.append(Mark("plain bytes", 8.0, "8.000"))
        highest = 8.0
    return Verdict(
        "Language model",
        "language",
        sentence,
        digits(bits),
        "bits per byte",
        interval(figures, "bits_per_byte", digits),
        marks,
        0.0,
        highest * 1.02,
        "less is better",
    )


def classifier_verdict(figures: Figures) -> Verdict:
    accuracy = figures["accuracy"]
    others = baselines_with(figures, "accuracy")
    marks = [Mark("this model", accuracy, percent(accuracy), "own", *bounds(figures, "accuracy"))]
    marks += [
        Mark(name, row["accuracy"], percent(row["accuracy"]), "other", *bounds(row, "accuracy"))
        for name, row in others.items()
    ]
    sentence = f"It is right for {percent(accuracy)} of {count(figures['rows'])} unseen messages."
    rivals = {name: row["accuracy"] for name, row in others.items()}
    if rivals:
        best = max(rivals, key=lambda name: float(rivals[name]))
        points = 100 * (accuracy - rivals[best])
        within = figures["accuracy_low"] <= rivals[best] <= figures["accuracy_high"]
        if "versus" in others[best]:
            within = verdict(others[best]["versus"], figures.get("confidence", 0.95)) == 0
        sentence += f" {_capital(best)}, the best of the simple ways, {_compared(points, within)}"
    if "best_possible" in figures:
        marks.append(Mark("best possible", figures["best_possible"], percent(figures["best_possible"]), "bound"))
    lowest = min(min(mark.value, mark.low or mark.value) for mark in marks)
    return Verdict(
        "Classifier",
        "classifier",
        sentence,
        percent(accuracy),
        "accuracy",
        interval(figures, "accuracy", percent),
        marks,
        min(0.9, math.floor(10 * lowest) / 10),
        1.0,
        "more is better",
    )


def _compared(points: float, within: bool) -> str:
    if abs(points) < 0.05:
        return "is right just as often."
    much = f"{abs(points):.1f} points {'less' if points > 0 else 'more'} often right"
    return f"is {much}: a difference that may be chance." if within else f"is {much}."


def instruct_verdict(figures: Figures) -> Verdict:
    exact = figures["exact_match"]
    marks = [Mark("this model", exact, percent(exact), "own", *bounds(figures, "exact_match"))]
    sentence = f"It answers {percent(exact)} of {count(figures['rows'])} unseen instructions with the right words."
    if "from_random" in figures:
        other = figures["from_random"]
        value = other["exact_match"]
        marks.append(Mark("from random weights", value, percent(value), "other", *bounds(other, "exact_match")))
        sentence += f" Without pretraining the same training gives {percent(value)}."
    else:
        sentence += f" On average {percent(figures['token_f1'], 0)} of the words are right (token F1)."
    marks += [
        Mark(name, row["exact_match"], percent(row["exact_match"]))
        for name, row in baselines_with(figures, "exact_match").items()
    ]
    return Verdict(
        "Instruction follower",
        "instruct",
        sentence,
        percent(exact),
        "exact match",
        interval(figures, "exact_match", percent),
        marks,
        0.0,
        1.0,
        "more is better",
    )


def remarks(files: Files) -> list[dict[str, str]]:
    """What was found in the curves and figures, warnings first."""
    rows = files.samples("verdicts.json")
    order = list(LEVELS)
    known = [row for row in rows if row.get("level") in LEVELS and row.get("text")]
    return [
        {
            "level": row["level"],
            "called": LEVELS[row["level"]],
            "model": MODELS.get(row.get("model", ""), str(row.get("model", "")).replace("_", " ")),
            "text": row["text"],
            "key": row.get("key") or "",
        }
        for row in sorted(known, key=lambda row: order.index(row["level"]))
    ]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
