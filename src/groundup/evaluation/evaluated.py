"""What the evaluation of one model brings."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Evaluated:
    """Figures of one model, and rows to show beside them; of the language model also the stories it wrote.

    `detail` is what is too long for the figures and is told in pictures and tables.
    """

    figures: dict[str, Any]
    samples: list[dict[str, Any]]
    stories: list[dict[str, Any]] = field(default_factory=list)
    detail: dict[str, Any] = field(default_factory=dict)
