"""What all answers together are worth: rates and means with their intervals, by kind, and one model against another."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groundup.evaluation.intervals import bootstrap, interval_of, mcnemar_p_value, ratio_of_sums, wilson_interval

FACT = "fact"  # the kind of instruction that asks for what only the corpus tells

Samples = Sequence[Mapping[str, Any]]


def answer_figures(samples: Samples, confidence: float, seed: int) -> dict[str, Any]:
    """Rates and means over all answers and, where the instructions have kinds, over those of each kind.

    `facts_exact_match` is over the questions for facts. All wordings of one fact are on the same side, so instruction
    training has asked for none of these: who answers them has them from the corpus. `checkable` is over the rows that
    have one right answer, `new_answers` over those whose answer no training row has.
    `contents` counts rows that ask for the same thing in other words once.
    """
    figures = {
        "rows": len(samples),
        "contents": n_contents(samples),
        **exact_matches(samples, confidence, "exact_match_"),
        **mean_with_interval(samples, "token_f1", confidence, seed),
        **mean_with_interval(samples, "rouge_l", confidence, seed),
        **{key: mean(samples, key) for key in ("ended", "repeats", "memorised")},
        "length_ratio_mean": mean(samples, "length_ratio"),
        "length_ratio_median": float(np.median([row["length_ratio"] for row in samples])),
        "checkable": counted([row for row in samples if row["checkable"]], confidence),
        "new_answers": counted([row for row in samples if row["new_answer"]], confidence),
    }
    kinds = sorted({row["kind"] for row in samples} - {""})
    of_kind = {kind: [row for row in samples if row["kind"] == kind] for kind in kinds}
    if kinds:
        figures["by_kind"] = {
            kind: {
                "rows": len(rows),
                "contents": n_contents(rows),
                **exact_matches(rows, confidence, "exact_match_"),
                "token_f1": mean(rows, "token_f1"),
                "rouge_l": mean(rows, "rouge_l"),
            }
            for kind, rows in of_kind.items()
        }
    if FACT in kinds:
        facts = exact_matches(of_kind[FACT], confidence, "exact_match_")
        figures |= {f"facts_{key}": value for key, value in facts.items()}
    return figures


def mean(samples: Samples, key: str) -> float:
    return float(np.mean([row[key] for row in samples]))


def mean_with_interval(samples: Samples, key: str, confidence: float, seed: int) -> dict[str, float]:
    """A mean over the answers and where it lies."""
    values = np.array([float(row[key]) for row in samples])
    low, high = interval_of_mean(values, np.ones(len(values)), contents(samples), confidence, seed)
    return {key: mean(samples, key), f"{key}_low": low, f"{key}_high": high}


def contents(samples: Samples) -> list[object]:
    """What each row is about: its group or, where it has none, its own place."""
    return [row["group"] or place for place, row in enumerate(samples)]


def n_contents(samples: Samples) -> int:
    return len(set(contents(samples)))


def interval_of_mean(
    values: np.ndarray, weights: np.ndarray, contents: Sequence[object], confidence: float, seed: int
) -> tuple[float, float]:
    """Where the sum of values for each unit of weight lies, by a bootstrap over contents.

    Rows that ask for the same thing in other words are right or wrong together, so they are drawn together.

    Shapes:  (N,), (N,), N contents
    """
    numbers = {content: number for number, content in enumerate(dict.fromkeys(contents))}
    content_of_row = np.array([numbers[content] for content in contents])
    statistic = ratio_of_sums(np.bincount(content_of_row, values), np.bincount(content_of_row, weights))
    return interval_of(bootstrap(statistic, len(numbers), seed), confidence)


def exact_matches(samples: Samples, confidence: float, bounds: str = "") -> dict[str, float]:
    """The share of answers with the right words, and Wilson's bounds under `low` and `high`, with `bounds` before.

    The bounds are those of independent rows: they are too narrow where several rows ask for one content.
    """
    n_right = sum(bool(row["exact_match"]) for row in samples)
    low, high = wilson_interval(n_right, len(samples), confidence)
    return {"exact_match": n_right / len(samples), f"{bounds}low": low, f"{bounds}high": high}


def counted(samples: Samples, confidence: float) -> dict[str, float]:
    """Some of the answers: how many they are and, if there are any, how many of them are right."""
    return {"rows": len(samples)} | (exact_matches(samples, confidence) if samples else {})


def versus(samples: Samples, others: Samples, confidence: float, seed: int) -> dict[str, float]:
    """How far one model's share of right answers is above another's on the same rows, and whether that may be luck.

    The bounds are of a paired bootstrap over contents; McNemar's test takes the rows as independent.
    """
    right = np.array([bool(row["exact_match"]) for row in samples])
    other_right = np.array([bool(row["exact_match"]) for row in others])
    difference = right.astype(float) - other_right
    low, high = interval_of_mean(difference, np.ones(len(difference)), contents(samples), confidence, seed)
    return {
        "exact_match_difference": float(difference.mean()),
        "low": low,
        "high": high,
        "mcnemar_p": mcnemar_p_value(right, other_right),
    }
