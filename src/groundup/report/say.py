"""What the report and the terminal both say in words, and which rows they show."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from groundup.evaluation import marks

HTML_FILE = "report.html"  # below reports/

Row = Mapping[str, Any]


def percent(value: float) -> str:
    """A share as people read it."""
    return f"{100 * value:.1f} %"


def four_places(value: float) -> str:
    return f"{value:.4f}"


def three_places(value: float) -> str:
    return f"{value:.3f}"


BASELINES = marks.BASELINES  # the classifiers beside the GPT
SLICES = {
    "length_quarter_1": "shortest quarter",
    "length_quarter_2": "second quarter by length",
    "length_quarter_3": "third quarter by length",
    "length_quarter_4": "longest quarter",
    "with_digits": "with a digit",
    "without_digits": "without a digit",
    "with_urls": "with a web address",
    "without_urls": "without a web address",
    "with_capitals": "with a word in capitals",
    "without_capitals": "without a word in capitals",
}
SMALLEST_P = 1e-4  # a smaller one is said to be smaller

# What a table of classifiers shows: the heading, the figure's key, and how it is written.
Column = tuple[str, str, Callable[[float], str]]
OF_TWO_CLASSES: tuple[Column, ...] = (
    ("accuracy", "accuracy", percent),
    ("precision", "precision", percent),
    ("recall", "recall", percent),
    ("F1", "f1", three_places),
    ("ROC AUC", "roc_auc", four_places),
    ("log loss", "loss_nats", three_places),
    ("threshold", "threshold", three_places),
)
OF_MANY_CLASSES: tuple[Column, ...] = (
    ("accuracy", "accuracy", percent),
    ("macro precision", "macro_precision", percent),
    ("macro recall", "macro_recall", percent),
    ("macro F1", "macro_f1", three_places),
    ("macro ROC AUC", "macro_roc_auc", four_places),
    ("log loss", "loss_nats", three_places),
)


def classifier_columns(figures: Row) -> tuple[Column, ...]:
    """The columns that these figures of a classifier fill."""
    return OF_MANY_CLASSES if "per_class" in figures else OF_TWO_CLASSES


def f1_of(figures: Row) -> float:
    """The F1 that stands for a classifier: of the positive one of two classes, or the mean over more."""
    return float(figures["macro_f1"] if "macro_f1" in figures else figures["f1"])


def with_bounds(figures: Row, key: str, written: Callable[[float], str]) -> str:
    """A figure and the bounds it lies within, where they are known; a dash where there is no such figure."""
    if key not in figures:
        return "–"
    bounds = [written(figures[f"{key}_{end}"]) for end in ("low", "high") if f"{key}_{end}" in figures]
    return written(figures[key]) + (f" ({' to '.join(bounds)})" if bounds else "")


def verdict(versus: Row, confidence: float) -> int:
    """1 if the GPT is better than a baseline, -1 if it is worse, 0 if chance may have made the difference.

    Both have to say so: the interval of the difference in accuracy is on one side of 0, and McNemar's p is below what
    the confidence leaves.
    """
    if versus["mcnemar_p"] >= round(1 - confidence, 12) or versus["low"] <= 0 <= versus["high"]:
        return 0
    return 1 if versus["accuracy_difference"] > 0 else -1


def verdict_words(versus: Row, confidence: float, other: str) -> str:
    """Whether the GPT is better than another classifier, in a few words."""
    return {
        1: f"better than {other}",
        -1: f"worse than {other}",
        0: "no difference beyond the noise",
    }[verdict(versus, confidence)]


def comparison_words(figures: Row, names: Mapping[str, str]) -> str:
    """How the GPT compares with all baselines that are named, in a sentence or three; "" where it was not compared."""
    compared = {key: row["versus"] for key, row in figures["baselines"].items() if "versus" in row and key in names}
    found = {key: verdict(versus, figures["confidence"]) for key, versus in compared.items()}
    said = []
    for result, words in (
        (1, "Beyond the noise it is better than {}."),
        (-1, "Beyond the noise it is worse than {}."),
        (0, "No difference beyond the noise: {}."),
    ):
        if others := [names[key] for key in names if found.get(key) == result]:
            said.append(words.format(", ".join(others)))
    return " ".join(said)


def accuracy_gap(versus: Row) -> str:
    """A difference in accuracy and the bounds it lies within."""
    at, low, high = (f"{100 * versus[key]:+.1f}" for key in ("accuracy_difference", "low", "high"))
    return f"{at} points ({low} to {high})"


def f1_gap(versus: Row) -> str:
    """A difference in F1 and the bounds it lies within."""
    at, low, high = (f"{versus[key]:+.3f}" for key in ("f1_difference", "f1_low", "f1_high"))
    return f"{at} ({low} to {high})"


def p_words(value: float) -> str:
    """How probable something is by chance, as far as anyone asks."""
    return f"{value:.4f}" if value >= SMALLEST_P else f"below {SMALLEST_P}"


def slice_words(name: str, figures: Row) -> str:
    """What rows a slice holds."""
    lengths = f" ({figures['shortest']} to {figures['longest']} characters)" if "shortest" in figures else ""
    return SLICES[name] + lengths


def unseen_classes(figures: Row) -> list[str]:
    """Of more than two classes those that no test row has."""
    return [name for name, row in figures.get("per_class", {}).items() if not row["support"]]


def gain_words(instruct: Mapping[str, Any]) -> str:
    """What pretraining buys the instruction follower, in a sentence or two; it was trained from random weights too."""
    other = instruct["from_random"]
    said = (
        f"Pretraining buys {100 * (instruct['exact_match'] - other['exact_match']):+.1f} points: "
        f"{percent(instruct['exact_match'])} of the answers are right, and {percent(other['exact_match'])} if the same "
        "training begins with random weights."
    )
    if "facts_exact_match" in instruct and "facts_exact_match" in other:
        said += (
            f" Of the facts, which only the corpus tells, it knows {percent(instruct['facts_exact_match'])}, "
            f"against {percent(other['facts_exact_match'])}."
        )
    return said


def versus_words(versus: Mapping[str, float]) -> str:
    """How sure it is that one instruction follower is better than the other, measured on the same rows."""
    low, high, p_value = 100 * versus["low"], 100 * versus["high"], versus["mcnemar_p"]
    difference = f"The difference of {100 * versus['exact_match_difference']:+.1f} points"
    bounds = f"lies between {low:+.1f} and {high:+.1f}"
    chance = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    if low <= 0 <= high:
        return f"{difference} {bounds}, so it may be luck: it is inside the noise (McNemar's test: {chance})."
    return f"{difference} {bounds} (McNemar's test: {chance})."


def classifier_gain_words(classifier: Row) -> str:
    """What pretraining buys the classifier, in two sentences; it was trained from random weights too."""
    other = classifier["from_random"]
    gain = 100 * (classifier["accuracy"] - other["accuracy"])
    return (
        f"Pretraining buys {gain:+.1f} points of accuracy: {percent(classifier['accuracy'])}, and "
        f"{percent(other['accuracy'])} if the same training begins with random weights "
        f"(F1 {f1_of(classifier):.3f} against {f1_of(other):.3f}). "
        + (
            f"Two equally good classifiers would seldom differ so much on {classifier['rows']} messages"
            if verdict(other["versus"], classifier["confidence"])
            else f"On {classifier['rows']} messages that is no difference beyond chance"
        )
        + f" (McNemar's p {other['versus']['mcnemar_p']:.3f})."
    )


def picked(rows: Sequence[Row], n: int, *wanted: Callable[[Row], bool]) -> list[Row]:
    """The first row of each sort that is wanted, where there is one, and others from the front to make up n."""
    chosen: list[int] = []
    for wants in wanted:
        chosen += [at for at, row in enumerate(rows) if at not in chosen and wants(row)][:1]
    chosen += [at for at in range(len(rows)) if at not in chosen]
    return [rows[at] for at in chosen[:n]]


def of_every_kind(rows: Sequence[Row], n: int) -> list[Row]:
    """The first row of each kind, then the second of each, up to n; the first n where the rows have no kinds."""
    seen: dict[str, int] = {}
    turns = []
    for at, row in enumerate(rows):
        seen[row["kind"]] = seen.get(row["kind"], 0) + 1
        turns.append((seen[row["kind"]], at))
    return [rows[at] for _, at in sorted(turns)[:n]]


def weakest_answers(rows: Sequence[Row], n: int) -> list[Row]:
    """The answers furthest from what was wanted, the worst first; fewer than n if fewer are wrong."""
    wrong = [row for row in rows if not row["exact_match"]]
    return sorted(wrong, key=lambda row: (row["rouge_l"], row["token_f1"]))[:n]
