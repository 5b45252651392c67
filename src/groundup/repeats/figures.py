"""The figures that are followed over seeds, and the model's laid beside those of each baseline."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from groundup.config import FROM_RANDOM
from groundup.repeats.spread import Spread, spread
from groundup.report.tables import rounded
from groundup.tracking.store import flat_figures


@dataclass(frozen=True)
class Headline:
    """A figure of the summary that is followed over the seeds.

    Args:
        compared: whether it is laid beside that of each baseline, as the summary names them.
    """

    section: str
    key: str
    lower_is_better: bool = False
    compared: bool = True


HEADLINES = (
    Headline("language_model", "bits_per_byte", lower_is_better=True),
    Headline("language_model", "ratio_to_floor", lower_is_better=True, compared=False),
    Headline("language_model", "stories.keep_rules", compared=False),
    Headline("classifier", "accuracy"),
    Headline("classifier", "f1"),
    Headline("classifier", "macro_f1"),
    Headline("classifier", "roc_auc", compared=False),
    Headline("classifier", "best_possible", compared=False),
    Headline("instruct", "exact_match"),
    Headline("instruct", "facts_exact_match"),
    Headline("instruct", "token_f1", compared=False),
    Headline("instruct", "response_loss_nats", lower_is_better=True, compared=False),
)


@dataclass(frozen=True)
class Difference:
    """The model's figure less another's, over the seeds, both measured on the same rows in each."""

    headline: Headline
    other: str
    spread: Spread

    @property
    def verdict(self) -> str:
        return self.spread.verdict(self.headline.lower_is_better)


@dataclass(frozen=True)
class SeedsResult:
    """What came of the seeds.

    Args:
        figures: by dotted keys of the summary.
        failed: why, by seed.
        overlap: as for `spread`.
    """

    seeds: list[int]
    confidence: float
    overlap: float
    figures: dict[str, Spread] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)


def gather(
    summaries: Mapping[int, Mapping[str, Any]], confidence: float, overlap: float, failed: Mapping[int, str]
) -> SeedsResult:
    """The figures that all seeds have, each with its spread, and the model's against each baseline's, seed by seed."""
    flat = [flat_figures(summary) for summary in summaries.values()]
    shared = {key: [each[key] for each in flat] for key in flat[0] if all(key in each for each in flat)}
    result = SeedsResult(list(summaries), confidence, overlap, failed=dict(failed))
    for headline in HEADLINES:
        own = shared.get(f"{headline.section}.{headline.key}")
        if own is None:
            continue
        result.figures[f"{headline.section}.{headline.key}"] = spread(own, confidence, overlap)
        for other, key in _others(shared, headline) if headline.compared else ():
            result.figures[key] = spread(shared[key], confidence, overlap)
            differences = [mine - theirs for mine, theirs in zip(own, shared[key], strict=True)]
            result.differences.append(Difference(headline, other, spread(differences, confidence, overlap)))
    return result


def _others(shared: Mapping[str, Sequence[float]], headline: Headline) -> Iterator[tuple[str, str]]:
    """Name and dotted key of each figure that a headline is compared with."""
    for key in shared:
        match key.split("."):
            case [headline.section, "baselines", name, headline.key]:
                yield name, key
            case [headline.section, "from_random", headline.key]:
                yield FROM_RANDOM, key


def as_json(result: SeedsResult) -> dict[str, Any]:
    """The result as a file shows it, every value included."""

    def shown(each: Spread) -> dict[str, Any]:
        values = [rounded(value) for value in each.values]
        return rounded(asdict(each)) | {"values": values, "min": min(values), "max": max(values)}

    return {
        "seeds": result.seeds,
        "failed": {str(seed): reason for seed, reason in result.failed.items()},
        "confidence": result.confidence,
        "overlap": rounded(result.overlap),
        "figures": {key: shown(each) for key, each in result.figures.items()},
        "differences": {
            f"{each.headline.section}.{each.headline.key} less {each.other}": shown(each.spread)
            | {"verdict": each.verdict}
            for each in result.differences
        },
    }
