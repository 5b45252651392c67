"""The page's part on the classifier."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from groundup.report import say
from groundup.report.charts import Axis, Series, line_chart
from groundup.report.html_common import NARROW, Figures, Files, baselines_with, interval, loss_chart
from groundup.report.say import classifier_columns, f1_of, unseen_classes

BEGINNER = "the same, from random weights"
CALIBRATION = {"brier": "Brier score", "ece": "expected calibration error", "loss_nats": "loss (nats per message)"}
SHOWN_MISTAKES, SHOWN_PAIRS, SHOWN_CURVES = 8, 15, 6
MOST_CLASSES = 12  # whose counts are still read in a square; of more, the pairs that are taken for each other


def classifier_part(files: Files, figures: Figures, split: Figures, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = [("this model", "own", figures)]
    if "accuracy" in figures.get("from_random", {}):
        own.append((BEGINNER, "other", figures["from_random"]))
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
            {"name": say.SLICES.get(name, name.replace("_", " ")), **row}
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
