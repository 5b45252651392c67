"""The report as one page: made from the files under `reports/` alone, so that each number in it can be traced.

The page needs no network and no script. Nothing in it tells when or where it was made: the same files give the same
bytes.
"""

import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from groundup.data.catalog import CATALOG, GENERATED
from groundup.errors import shorten
from groundup.evaluation.glimpse import FROM_CORPUS, FROM_INSTRUCTIONS, FROM_MESSAGES, GLIMPSE_FILE
from groundup.evaluation.marks import BREAK_MARK
from groundup.files import read_json
from groundup.report import say
from groundup.report.charts import Axis, Series, attention_map, attention_overview, line_chart
from groundup.report.say import classifier_columns, f1_of, of_every_kind, unseen_classes
from groundup.report.tables import METRICS_FILE, TRAIN_FILE, VALIDATION_FILE, read_table

PINNED = Path("constraints.txt")
# Of the pinned packages those that figures depend on; the rest is in the file.
PINNED_SHOWN = ("dvc", "matplotlib", "mlflow", "numpy", "pandas", "safetensors", "scikit-learn", "tiktoken", "torch")

TRAININGS = {"pretrain": "pretraining", "finetune_cls": "classifier", "finetune_instruct": "instruction follower"}
MODELS = {
    "language_model": "Language model",
    "pretrain": "Language model",
    "classifier": "Classifier",
    "finetune_cls": "Classifier",
    "instruct": "Instruction follower",
    "finetune_instruct": "Instruction follower",
    "split": "Data",
}
BASELINES = say.BASELINES | {
    "unigram": "how frequent each token is",
    "ngram": "counting tokens in a row (Kneser-Ney)",
    "xz": "xz, after the train text",
    "xz_alone": "xz, on its own",
    "bzip2_alone": "bzip2, on its own",
}
FROM_RANDOM = "the same, from random weights"
SLICES = say.SLICES
CALIBRATION = {"brier": "Brier score", "ece": "expected calibration error", "loss_nats": "loss (nats per message)"}
LEVELS = {"warning": "Warning", "note": "Note", "good": "Good"}
SHOWN_STORIES, SHOWN_MISTAKES, SHOWN_ANSWERS, SHOWN_PAIRS, SHOWN_CURVES = 4, 8, 6, 15, 6
SHOWN_BREAK = 12  # characters that are marked where a story breaks a rule, and the rest of the word
MOST_CLASSES = 12  # whose counts are still read in a square; of more, the pairs that are taken for each other
MOST_MAPS = 48  # small attention maps; of more heads, the mean of each layer
# How likely the model thought a token that came, from the least surprise to the most.
CHANCES = (
    (0.5, "over 50 %"),
    (0.2, "20 to 50 %"),
    (0.05, "5 to 20 %"),
    (0.01, "1 to 5 %"),
    (0.0, "under 1 %"),
)
ALL_FIGURES_LEAVE_OUT = ("confusion", "per_class")  # of many classes they are thousands, and stand in tables

Figures = Mapping[str, Any]


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


@dataclass(frozen=True)
class Files:
    """What the stages left, read from where DVC tracks it; what a run has not made is empty.

    Args:
        reports: holds a folder for each stage.
        folder: holds what the evaluation wrote.
    """

    reports: Path
    folder: Path
    opened: dict[str, Any] = field(default_factory=dict)

    def json(self, path: Path, default: Any = None) -> Any:
        return read_json(path) if path.is_file() else default

    def rows(self, path: Path) -> list[dict[str, str]]:
        """A table of words and numbers."""
        if not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def samples(self, name: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.json(self.folder / name, [])
        return rows

    def metrics(self, stage: str) -> dict[str, Any]:
        figures: dict[str, Any] = self.json(self.reports / stage / METRICS_FILE, {})
        return figures


def render_html(reports: Path, folder: Path, settings: Mapping[str, Any], pinned: Path = PINNED) -> str:
    """The whole report as one HTML page.

    Args:
        reports, folder: what all stages, and the evaluation, have written.
        settings: the values of `params.yaml` under dotted keys.
        pinned: the file of the versions that are installed.
    Raises: GroundupError if a file that every run has is missing or damaged.
    """
    files = Files(reports, folder)
    summary = read_json(reports / "summary.json")
    split = read_json(reports / "split" / METRICS_FILE)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("groundup.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"percent": percent, "count": count, "digits": digits, "pretty": pretty}
    environment.globals |= {"break_mark": BREAK_MARK}
    return environment.get_template("report.html.jinja").render(
        style=Markup(environment.get_template("report.css.jinja").render()),
        run=run_facts(files, settings),
        verdicts=list(verdicts(summary)),
        remarks=remarks(files),
        summary=summary,
        split=split,
        language=language_part(files, summary["language_model"]),
        classifier=classifier_part(files, summary["classifier"], split, settings),
        instruct=instruct_part(files, summary["instruct"]),
        glimpse=glimpse_part(files),
        data=data_part(files, split, settings),
        settings=settings,
        pinned=pinned_versions(pinned),
        figures=list(all_figures(summary)),
    )


# --- writing numbers

NARROW = "\N{NARROW NO-BREAK SPACE}"


def percent(value: float | None, places: int = 1) -> str:
    """A share; its sign never stands alone on the next line."""
    return "not known" if value is None else f"{100 * value:.{places}f}{NARROW}%"


def count(value: float) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,.0f}"


def digits(value: float | None, places: int = 3) -> str:
    return "not known" if value is None else f"{value:.{places}f}"


def pretty(value: Any) -> str:
    """A setting or figure of any kind, as it stands in its file."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(pretty, value)) or "none"
    return str(value)


def interval(figures: Figures, key: str, written: Callable[[float], str]) -> str:
    """From where to where a figure is likely to be; empty where that is not known."""
    low, high = figures.get(f"{key}_low"), figures.get(f"{key}_high")
    return "" if low is None or high is None else f"{written(low)} to {written(high)}"


def baseline_name(key: str) -> str:
    return BASELINES.get(key, key.replace("_", " "))


def baselines_with(figures: Figures, key: str) -> dict[str, Figures]:
    """The baselines that have a figure, by the names people read."""
    found = figures.get("baselines", {})
    return {baseline_name(name): row for name, row in found.items() if isinstance(row, Mapping) and key in row}


def maybe_chance(versus: Figures, confidence: float) -> bool:
    """Whether chance can account for a difference in accuracy: by its interval or by McNemar's test."""
    return bool(versus["low"] <= 0 <= versus["high"] or versus.get("mcnemar_p", 0.0) >= round(1 - confidence, 12))


# --- what was run, and the verdicts


def run_facts(files: Files, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the first paragraph says."""
    pretrain = files.metrics("pretrain")
    return {
        "parameters": pretrain.get("parameters"),
        "steps": pretrain.get("steps"),
        "tokens": pretrain.get("tokens"),
        "tuned": {name: figures for name in ("finetune_cls", "finetune_instruct") if (figures := files.metrics(name))},
        "seed": settings.get("seed"),
    }


def verdicts(summary: Figures) -> Iterator[Verdict]:
    """One for each model."""
    yield language_verdict(summary["language_model"])
    yield classifier_verdict(summary["classifier"])
    yield instruct_verdict(summary["instruct"])


def language_verdict(figures: Figures) -> Verdict:
    bits = figures["bits_per_byte"]
    others = baselines_with(figures, "bits_per_byte")
    marks = [Mark("this model", bits, digits(bits), "own", *_bounds(figures, "bits_per_byte"))]
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
    marks = [Mark("this model", accuracy, percent(accuracy), "own", *_bounds(figures, "accuracy"))]
    marks += [
        Mark(name, row["accuracy"], percent(row["accuracy"]), "other", *_bounds(row, "accuracy"))
        for name, row in others.items()
    ]
    sentence = f"It is right for {percent(accuracy)} of {count(figures['rows'])} unseen messages."
    rivals = {name: row["accuracy"] for name, row in others.items()}
    if rivals:
        best = max(rivals, key=lambda name: float(rivals[name]))
        points = 100 * (accuracy - rivals[best])
        within = figures["accuracy_low"] <= rivals[best] <= figures["accuracy_high"]
        if "versus" in others[best]:
            within = maybe_chance(others[best]["versus"], figures.get("confidence", 0.95))
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
    marks = [Mark("this model", exact, percent(exact), "own", *_bounds(figures, "exact_match"))]
    sentence = f"It answers {percent(exact)} of {count(figures['rows'])} unseen instructions with the right words."
    if "from_random" in figures:
        other = figures["from_random"]
        value = other["exact_match"]
        marks.append(Mark("from random weights", value, percent(value), "other", *_bounds(other, "exact_match")))
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


def _bounds(figures: Figures, key: str) -> tuple[float | None, float | None]:
    return figures.get(f"{key}_low"), figures.get(f"{key}_high")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- the language model


def language_part(files: Files, figures: Figures) -> dict[str, Any]:
    detail = files.json(files.folder / "language_detail.json", {})
    others = baselines_with(figures, "bits_per_byte")
    rows = [("this model", "own", figures["bits_per_byte"], interval(figures, "bits_per_byte", digits))]
    rows += [
        (name, "other", row["bits_per_byte"], interval(row, "bits_per_byte", digits)) for name, row in others.items()
    ]
    if "floor_bits_per_byte" in figures:
        rows.append(("floor: who knows every rule", "bound", figures["floor_bits_per_byte"], ""))
    rows.append(("plain bytes", "other", 8.0, ""))
    stories = files.samples("stories.json")
    keeps = [row for row in stories if row.get("keeps_rules") is True]
    breaks = [row for row in stories if row.get("keeps_rules") is False]
    shown = of_every_kind(keeps, SHOWN_STORIES // 2) + of_every_kind(breaks, SHOWN_STORIES // 2)
    return {
        "figures": figures,
        "compared": sorted(rows, key=lambda row: row[2]),
        "ranges": any(likely for *_, likely in rows),
        "losses": loss_chart(files, "pretrain"),
        "by_position": detail_chart(detail.get("by_position"), "place in the context (tokens)", "position"),
        "by_frequency": detail_chart(detail.get("by_frequency"), "times seen in training", "frequency"),
        "prompts": by_prompt(files.samples("language_model_samples.json")),
        "stories": [story_parts(row) for row in (shown or stories[:SHOWN_STORIES])],
        "n_stories": len(stories),
    }


def loss_chart(files: Files, stage: str) -> Markup | None:
    """Training and validation loss by step; the kept weights are ringed."""
    paths = [files.reports / stage / name for name in (TRAIN_FILE, VALIDATION_FILE)]
    if not all(path.is_file() for path in paths):
        return None
    train, validation = ([(row["step"], row["loss_nats"]) for row in read_table(path)] for path in paths)
    if not train and not validation:
        return None
    losses = [loss for _, loss in (*train, *validation) if loss > 0]
    log = bool(losses) and max(losses) > 8 * min(losses)
    kept = min(validation, key=lambda point: point[1]) if validation else None
    said = f"Loss of {TRAININGS[stage]} by optimizer step."
    if train:
        said += f" Training falls from {train[0][1]:.3g} to {train[-1][1]:.3g} nats."
    if kept:
        said += f" The lowest validation loss is {kept[1]:.3g} at step {kept[0]:.0f}."
    return line_chart(
        [Series("training", train, "train"), Series("validation", validation, "validation", dots=len(validation) < 30)],
        Axis("optimizer step", 0.0, max(step for step, _ in (*train, *validation))),
        Axis("nats per token" if stage != "finetune_cls" else "nats per message", log=log),
        said,
        mark=(kept, f"kept: {kept[1]:.3g}") if kept else None,
    )


def detail_chart(rows: Sequence[Figures] | None, label: str, by: str) -> Markup | None:
    """Loss by where a token stands, or by how often it was seen; each point is the middle of its stretch."""
    points = [
        (math.sqrt(max(row["from"], 0.5) * max(row["to"], 0.5)), row["loss_nats"])
        for row in rows or ()
        if row.get("tokens") and row.get("loss_nats") is not None
    ]
    if len(points) < 2:
        return None
    said = f"Loss by {by}: {points[0][1]:.3g} nats at {points[0][0]:.3g}, {points[-1][1]:.3g} at {points[-1][0]:.3g}."
    return line_chart([Series("test", points, "s0", dots=True)], Axis(label, log=True), Axis("nats per token"), said)


def by_prompt(samples: Sequence[Figures]) -> list[dict[str, Any]]:
    """The continuations of each prompt beside each other."""
    found: dict[str, list[Figures]] = {}
    for row in samples:
        found.setdefault(row["prompt"], []).append(row)
    return [{"prompt": prompt, "written": rows} for prompt, rows in found.items()]


def story_parts(story: Figures) -> dict[str, Any]:
    """A story, cut where the rules could follow it no further."""
    before, found, after = story.get("broke_at", "").partition(BREAK_MARK)
    text = story["text"]
    at = text.find(before + after) if found else -1
    cut = at + len(before) if at >= 0 else len(text)
    end = text.find(" ", cut + SHOWN_BREAK)
    end = len(text) if end < 0 else end
    return {"kept": text[:cut], "broken": text[cut:end], "rest": text[end:], "broke": at >= 0, "story": story}


# --- the classifier


def classifier_part(files: Files, figures: Figures, split: Figures, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = [("this model", "own", figures)]
    if "accuracy" in figures.get("from_random", {}):
        own.append((FROM_RANDOM, "other", figures["from_random"]))
    others = [(name, "other", row) for name, row in baselines_with(figures, "accuracy").items()]
    everyone = own + sorted(others, key=lambda each: -float(each[2]["accuracy"]))
    columns = [column for column in classifier_columns(figures) if all(column[1] in row for _, _, row in everyone)]
    samples = files.samples("classifier_samples.json")
    labels = class_labels(figures, files, settings.get("finetune_cls.positive_label", ""))
    wrong = [row for row in samples if not row["right"]]
    sure = figures.get("threshold", 0.0)
    return {
        "figures": figures,
        "many": "per_class" in figures,
        "columns": [heading for heading, _, _ in columns],
        "rows": [
            {
                "name": name,
                "kind": kind,
                "versus": versus_words(row["versus"]) if "versus" in row else "",
                "cells": [
                    (_spacing(written)(row[key]), interval(row, key, _spacing(written))) for _, key, written in columns
                ],
            }
            for name, kind, row in everyone
        ],
        "positive": labels[-1] if labels and "per_class" not in figures else "",
        "f1": f1_of(figures),
        "shares": split.get("messages", {}).get("shares", {}).get("test", {}),
        "copies_left_out": split.get("messages", {}).get("copies_left_out"),
        "unseen": unseen_classes(figures),
        "losses": loss_chart(files, "finetune_cls"),
        "confusion": confusion(files, labels),
        "roc": roc(files, figures),
        "precision_recall": precision_recall(files),
        "reliability": reliability(files),
        "compared": any("versus" in row for _, _, row in everyone),
        "temperature": figures.get("calibration", {}).get("temperature"),
        "calibration": [
            (words, *(figures["calibration"].get(f"{key}{ending}") for ending in ("", "_scaled")))
            for key, words in CALIBRATION.items()
            if key in figures.get("calibration", {})
        ],
        "slices": [
            {"name": SLICES.get(name, name.replace("_", " ")), **row}
            for name, row in figures.get("slices", {}).items()
            if isinstance(row, Mapping) and "accuracy" in row
        ],
        "mistakes": sorted(wrong, key=lambda row: -abs(row["probability"] - sure))[:SHOWN_MISTAKES],
        "n_wrong": len(wrong),
    }


def class_labels(figures: Figures, files: Files, positive: str) -> list[str]:
    """The names of the classes; of two the positive one last."""
    if "per_class" in figures:
        return list(figures["per_class"])
    rows = files.rows(files.reports / "confusion.csv")
    names = {row[key] for row in rows for key in ("is", "called")} | {positive}
    return sorted(names - {positive, ""}) + ([positive] if positive else [])


def versus_words(versus: Figures) -> str:
    """How many points more this model is right than another, and within which bounds that lies."""
    if "accuracy_difference" not in versus:
        return ""
    at, low, high = (f"{100 * versus[key]:+.1f}" for key in ("accuracy_difference", "low", "high"))
    return f"{at} ({low} to {high})"


def confusion(files: Files, labels: Sequence[str]) -> dict[str, Any] | None:
    """What messages are against what they were called, with how deep each square is coloured."""
    pairs = Counter((row["is"], row["called"]) for row in files.rows(files.reports / "confusion.csv"))
    if not pairs:
        return None
    if len(labels) > MOST_CLASSES:
        wrong = [(n, is_it, called) for (is_it, called), n in pairs.items() if is_it != called]
        return {"pairs": sorted(wrong, key=lambda each: (-each[0], *each[1:]))[:SHOWN_PAIRS]}
    totals = {label: sum(pairs[label, called] for called in labels) for label in labels}
    return {
        "labels": labels,
        "rows": [
            (
                label,
                [
                    (pairs[label, called], pairs[label, called] / max(1, totals[label]), label == called)
                    for called in labels
                ],
            )
            for label in labels
        ],
    }


def roc(files: Files, figures: Figures) -> Markup | None:
    points = _points(files.rows(files.reports / "roc.csv"), "false_alarms", "caught")
    if not points:
        return None
    auc = figures.get("roc_auc", figures.get("macro_roc_auc"))
    said = "ROC curve: the share caught against the share of false alarms."
    if auc is not None:
        said += f" The area under it is {auc:.3f}; chance gives 0.5."
    return line_chart(
        [Series("this model", points, "s0")],
        Axis("false alarms", 0.0, 1.0, percent=True),
        Axis("caught", 0.0, 1.0, percent=True),
        said,
        diagonal=True,
    )


def precision_recall(files: Files) -> dict[str, Any] | None:
    """Curves of this model and of the classical ones."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in files.rows(files.folder / "precision_recall.csv"):
        curves.setdefault(row.get("classifier", ""), []).extend(_points([row], "recall", "precision"))
    names = list(curves)[:SHOWN_CURVES]
    if not names:
        return None
    series = [Series(name, sorted(curves[name]), f"s{number}") for number, name in enumerate(names)]
    said = f"Precision against recall of {', '.join(names)}."
    axes = Axis("recall", 0.0, 1.0, percent=True), Axis("precision", 0.0, 1.0, percent=True)
    return {"chart": line_chart(series, *axes, said), "legend": [(each.style, each.name) for each in series]}


def reliability(files: Files) -> dict[str, Any] | None:
    """How often it is so, against how sure the model was; before and after temperature scaling."""
    rows = files.rows(files.folder / "reliability.csv")
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        scaled = str(row.get("scaled", "")).lower() in ("1", "true", "yes", "scaled")
        name = "after temperature scaling" if scaled else "as it is"
        curves.setdefault(name, []).extend(_points([row], "mean_probability", "observed"))
    series = [
        Series(name, sorted(points), f"s{number}", dots=True)
        for number, (name, points) in enumerate(curves.items())
        if points
    ]
    if not series:
        return None
    said = "Reliability: how often it is so, against the mean probability; on the diagonal both are the same."
    axes = Axis("probability it gave", 0.0, 1.0, percent=True), Axis("how often it was so", 0.0, 1.0, percent=True)
    return {
        "chart": line_chart(series, *axes, said, diagonal=True),
        "legend": [(each.style, each.name) for each in series],
    }


def _points(rows: Sequence[Mapping[str, str]], x: str, y: str) -> list[tuple[float, float]]:
    """The two columns as numbers, without rows in which one is empty."""
    pairs = [(row.get(x), row.get(y)) for row in rows]
    return [(float(a), float(b)) for a, b in pairs if a and b]


def _spacing(written: Callable[[float], str]) -> Callable[[float], str]:
    """The same words, with a percent sign that stays at its number."""
    return lambda value: written(value).replace(" %", f"{NARROW}%")


# --- the instruction follower

ANSWER_FIGURES: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("exact match", "exact_match", percent),
    ("exact match on facts", "facts_exact_match", percent),
    ("token F1", "token_f1", digits),
    ("ROUGE-L", "rouge_l", digits),
    ("ended by itself", "ended", percent),
    ("repeats itself", "repeats", percent),
    ("words for each that was wanted, mean", "length_ratio_mean", digits),
    ("wrong, and by heart from the training", "memorised", percent),
    ("loss of the right answers (nats per token)", "response_loss_nats", digits),
)


def instruct_part(files: Files, figures: Figures) -> dict[str, Any]:
    other = figures.get("from_random", {})
    samples = files.samples("instruct_samples.json")
    right = [row for row in samples if row["exact_match"]]
    wrong = [row for row in samples if not row["exact_match"]]
    kinds = figures.get("by_kind", {})
    return {
        "figures": figures,
        "compared": bool(other),
        "rows": [
            {
                "name": words,
                "value": written(figures[key]),
                "interval": interval(figures, key, written),
                "other": written(other[key]) if key in other else "",
            }
            for words, key, written in ANSWER_FIGURES
            if isinstance(figures.get(key), float | int)
        ],
        "versus": other.get("versus", {}),
        "parts": [
            (words, figures[key])
            for words, key in (
                ("with one right answer", "checkable"),
                ("whose answer no training row has", "new_answers"),
            )
            if figures.get(key, {}).get("rows")
        ],
        "kinds": [
            {
                "name": name,
                "interval": interval(row, "exact_match", lambda value: percent(value, 0)),
                "rows": row["rows"],
                "exact_match": row["exact_match"],
                "other": other.get("by_kind", {}).get(name, {}).get("exact_match"),
            }
            for name, row in sorted(kinds.items(), key=lambda each: (-each[1]["exact_match"], each[0]))
        ],
        "losses": loss_chart(files, "finetune_instruct"),
        "right": of_every_kind(right, SHOWN_ANSWERS),
        "wrong": of_every_kind(wrong, SHOWN_ANSWERS),
    }


# --- looking inside


def glimpse_part(files: Files) -> dict[str, Any]:
    found = files.json(files.folder / GLIMPSE_FILE, {})
    origins = {
        FROM_CORPUS: "the beginning of a test document",
        FROM_MESSAGES: "a test message",
        FROM_INSTRUCTIONS: "a test instruction",
    }
    return {
        "three": [row | {"origin": origins.get(row["from"], row["from"])} for row in found.get("three", [])],
        "pieces": [coloured(row) for row in found.get("loss", [])],
        "legend": [(level, words) for level, (_, words) in enumerate(CHANCES)],
        "attention": attention_part(found["attention"]) if found.get("attention", {}).get("weights") else None,
    }


def coloured(piece: Figures) -> dict[str, Any]:
    """A piece of text with its level of surprise and the number in words."""
    chance = math.exp(-piece["loss_nats"])
    level = next(level for level, (least, _) in enumerate(CHANCES) if chance >= least)
    return {
        "token": piece["token"],
        "level": level,
        "said": f"{piece['loss_nats']:.2f} nats: it gave this a chance of {100 * chance:.2g}{NARROW}%",
    }


def attention_part(found: Figures) -> dict[str, Any]:
    """All heads small, and two large: the one that looks most at the token before, and the one that looks further back.

    Where there are too many heads, the small maps are the means of the layers.
    """
    tokens, layers = found["tokens"], found["weights"]
    heads = [(i, j) for i, layer in enumerate(layers) for j in range(len(layer))]

    def mean_weight(head: tuple[int, int], looks: Callable[[list[float]], float]) -> float:
        rows = layers[head[0]][head[1]][2:]  # the first two tokens have nothing to choose from
        return sum(map(looks, rows)) / max(1, len(rows))

    before = max(heads, key=lambda head: mean_weight(head, lambda row: row[-2]))
    further = max(
        [head for head in heads if head != before] or heads,
        key=lambda head: mean_weight(head, lambda row: sum(row[1:-2])),
    )
    large = [
        ("looks most at the token just before", before),
        ("looks most at words further back", further),
    ]
    if before == further:
        large = large[:1]
    ringed = [head for _, head in large]
    mean = len(heads) > MOST_MAPS
    shown = [[_mean_rows(layer)] for layer in layers] if mean else layers
    what = "the mean of all heads of each layer" if mean else "every head of every layer"
    return {
        "large": [
            {
                "what": what_it_does,
                "name": f"layer {i + 1}, head {j + 1}",
                "chart": attention_map(
                    tokens,
                    layers[i][j],
                    f"Attention of layer {i + 1}, head {j + 1}: a square for each pair of tokens, darker where one "
                    f"looks more at the other. This head {what_it_does}.",
                ),
            }
            for what_it_does, (i, j) in large
        ],
        "overview": attention_overview(
            shown, "mean" if mean else "head", [] if mean else ringed, f"Small attention maps of {what}."
        ),
        "mean": mean,
        "n_layers": len(layers),
        "n_heads": len(layers[0]),
        "sentence": "".join(tokens[1:]).strip(),
    }


def _mean_rows(heads: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    return [[sum(weights) / len(weights) for weights in zip(*rows, strict=True)] for rows in zip(*heads, strict=True)]


# --- data, settings, all figures

LICENCES = {entry.name: (entry.licence, entry.about) for entry in CATALOG}
LICENCES |= {made.name: (made.licence, made.about) for made in GENERATED}


def data_part(files: Files, split: Figures, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Where the texts come from, how many there are on each side, and whether any stands on two."""
    tokenized = files.metrics("tokenize")
    kinds = []
    for kind in ("corpus", "messages", "instructions"):
        of_kind = split.get(kind, {})
        kinds.append(
            {
                "name": kind,
                "texts": of_kind.get("texts", {}),
                "leaks": of_kind.get("leaks"),
                "near_leaks": of_kind.get("near_leaks"),
                "copies_left_out": of_kind.get("copies_left_out"),
                "tokens": tokenized.get(kind, {}).get("tokens"),
                "bytes_per_token": tokenized.get(kind, {}).get("bytes_per_token"),
            }
        )
    return {
        "kinds": [kind for kind in kinds if kind["texts"]],
        "sources": sources(settings),
        "vocab_size": tokenized.get("vocab_size"),
    }


def sources(settings: Mapping[str, Any]) -> list[dict[str, str]]:
    """The data sets by name, with who may use them how."""
    names = [
        (kind, name)
        for kind in ("corpus", "messages", "instructions")
        for name in _listed(settings.get(f"data.{kind}"))
    ]
    own = ("your own", "a file of the user's own")
    return [
        {"kind": kind, "name": name, "licence": LICENCES.get(name, own)[0], "about": LICENCES.get(name, own)[1]}
        for kind, name in names
    ]


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def pinned_versions(path: Path) -> list[tuple[str, str]]:
    """Package and version of the lines of a constraints file that figures depend on."""
    if not path.is_file():
        return []
    lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    pairs = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return [(name, version.split(";")[0].strip()) for name, version in pairs if name.lower() in PINNED_SHOWN]


def all_figures(value: Figures, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every number of the summary under its dotted key."""
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            if key not in ALL_FIGURES_LEAVE_OUT:
                yield from all_figures(inner, f"{prefix}{shorten(key, 60)}.")
        else:
            yield prefix + key, pretty(inner)
