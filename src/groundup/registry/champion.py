"""The figure that decides which version is the champion."""

from collections.abc import Mapping
from dataclasses import dataclass

HIGHER_IS_BETTER = {"accuracy": True, "exact_match": True, "bits_per_byte": False}


@dataclass(frozen=True)
class Figure:
    """A test figure, the interval in which it likely lies on other texts of the same sort, and on what it was measured.

    Args:
        test: a digest of the test texts, and of those settings of the evaluation that change the figure.
    """

    name: str
    value: float
    low: float
    high: float
    confidence: float
    test: str

    def __str__(self) -> str:
        return f"{self.name} {self.value:.6g} ({self.low:.4g} to {self.high:.4g})"

    def tags(self) -> dict[str, str]:
        """As a version in the registry keeps it, so that a comparison needs no old files."""
        return {
            "figure": self.name,
            "figure.value": repr(float(self.value)),
            "figure.low": repr(float(self.low)),
            "figure.high": repr(float(self.high)),
            "figure.confidence": repr(float(self.confidence)),
            "test.sha256": self.test,
        }


def figure_of(tags: Mapping[str, str]) -> Figure | None:
    """The figure that a version keeps; None for a version that somebody else made."""
    try:
        value, low, high, confidence = (float(tags[f"figure.{key}"]) for key in ("value", "low", "high", "confidence"))
        return Figure(tags["figure"], value, low, high, confidence, tags["test.sha256"])
    except (KeyError, ValueError):
        return None


def reason_to_stay(champion: Figure | None, new: Figure | None) -> str | None:
    """Why the champion stays; None if the new figure is better than all that the champion's interval holds.

    Figures compare only if they were measured on the same texts in the same way.
    """
    if champion is None or new is None:
        return "a version without a figure cannot be compared"
    if champion.name != new.name or champion.test != new.test:
        return "it was measured on another test set, or in another way"
    if HIGHER_IS_BETTER[new.name]:
        return None if new.value > champion.high else f"{new.value:.6g} is not above {champion}"
    return None if new.value < champion.low else f"{new.value:.6g} is not below {champion}"
