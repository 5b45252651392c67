"""What came of the seeds, as people read it."""

from collections.abc import Iterator

from groundup.config import FROM_RANDOM
from groundup.repeats.figures import Difference, SeedsResult
from groundup.repeats.spread import BETTER, WORSE, Spread
from groundup.report.say import percent
from groundup.report.terminal import SIMPLE_WAYS

SECTIONS = {"language_model": "language model", "classifier": "classifier", "instruct": "instruction follower"}
KEYS = {
    "bits_per_byte": "bits per byte",
    "ratio_to_floor": "model / floor",
    "stories.keep_rules": "documents that keep all rules",
    "accuracy": "accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "roc_auc": "ROC AUC",
    "best_possible": "best possible accuracy",
    "exact_match": "exact match",
    "facts_exact_match": "exact match on facts",
    "token_f1": "token F1",
    "response_loss_nats": "loss of right answers (nats)",
}
UP_TO_ONE = ("f1", "roc_auc")  # and shares
SHARES = ("stories.keep_rules", "accuracy", "best_possible", "exact_match", "facts_exact_match")


def other_in_words(name: str) -> str:
    """What a baseline is called."""
    return "the same from random weights" if name == FROM_RANDOM else SIMPLE_WAYS.get(name, name.replace("_", " "))


def row_name(key: str) -> str:
    """What a figure of the summary is called, by its dotted key."""
    section, *inner = key.split(".")
    if inner[0] == "baselines":
        return f"{SECTIONS[section]}: {KEYS['.'.join(inner[2:])]}, {other_in_words(inner[1])}"
    if inner[0] == FROM_RANDOM:
        return f"{SECTIONS[section]}: {KEYS['.'.join(inner[1:])]}, {other_in_words(FROM_RANDOM)}"
    return f"{SECTIONS[section]}: {KEYS['.'.join(inner)]}"


def is_share(key: str) -> bool:
    return key.endswith(SHARES)


def written(key: str, value: float) -> str:
    """A figure as people read it."""
    return percent(value) if is_share(key) else f"{value:.4f}"


def within(key: str, value: float, lowest: float) -> float:
    """The bound of an interval, where the figure itself knows no such value: few seeds have wide intervals."""
    return min(1.0, max(lowest, value)) if key.endswith((*SHARES, *UP_TO_ONE)) else value


def cells(key: str, each: Spread) -> list[str]:
    """A row of the table: name, mean, deviation, interval, every value."""
    low, high = (written(key, within(key, bound, 0.0)) for bound in (each.low, each.high))
    return [
        row_name(key),
        written(key, each.mean),
        written(key, each.deviation),
        f"{low} to {high}",
        "  ".join(written(key, value) for value in each.values),
    ]


def headings(result: SeedsResult) -> list[str]:
    """Of the columns that `cells` fills."""
    return ["figure", "mean", "deviation", f"{100 * result.confidence:g} % interval of the mean", "every value"]


def difference_in_words(each: Difference) -> str:
    """Whether the model is better than another, as one sentence."""
    key = each.headline.key

    def signed(value: float) -> str:
        return f"{100 * value:+.1f}" if is_share(key) else f"{value:+.4f}"

    how = {BETTER: "better than", WORSE: "worse than"}.get(each.verdict, f"{each.verdict}, against")
    mean, low, high = (
        signed(within(key, value, -1.0)) for value in (each.spread.mean, each.spread.low, each.spread.high)
    )
    return (
        f"{SECTIONS[each.headline.section]}, {KEYS[key]}: {how} {other_in_words(each.other)} "
        f"({mean}{' points' if is_share(key) else ''}, likely {low} to {high})."
    )


def sentences(result: SeedsResult) -> Iterator[str]:
    """What the differences and failures amount to."""
    yield from map(difference_in_words, result.differences)
    for seed, reason in result.failed.items():
        yield f"Seed {seed} failed and has no part in this: {reason}"


def what_was_run(result: SeedsResult) -> str:
    """Which seeds there were, and what they have in common."""
    names = ", ".join(map(str, result.seeds))
    if not result.overlap:
        return f"Seeds {names}, each with texts of its own."
    return (
        f"Seeds {names}: each cuts the same texts anew and trains from other random numbers. As the cuts share most of "
        "their rows, intervals are wider than those of independent runs (Nadeau and Bengio 2003)."
    )


def seeds_as_markdown(result: SeedsResult) -> str:
    """The whole result as a page."""
    rows = [headings(result), ["---"] * len(headings(result))]
    rows += [cells(key, each) for key, each in result.figures.items()]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    said = "\n".join(f"- {sentence}" for sentence in sentences(result))
    return f"# Over {len(result.seeds)} seeds\n\n{what_was_run(result)}\n\n{table}\n\n{said}\n"
