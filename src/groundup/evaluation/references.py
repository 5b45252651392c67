"""Published figures beside ours, where a run was set up as they were; the table itself is `references.yaml`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from groundup.evaluation.diagnosis import Finding, Level
from groundup.params_file import read_yaml

TABLE = Path(__file__).with_name("references.yaml")


@dataclass(frozen=True)
class PublishedFigure:
    """One published number, and where ours stands. Units: `published` and `tolerance` in `unit`, ours `times` there."""

    what: str
    file: str
    at: list[str | int]
    published: float
    tolerance: float
    unit: str
    better: Literal["lower", "same"]
    times: float = 1.0
    setup: dict[str, Any] = field(default_factory=dict)
    about: str = ""


@dataclass(frozen=True)
class Reference:
    """Figures that somebody measured under a certain set-up."""

    name: str
    source: str
    model: str
    setup: dict[str, Any]
    figures: list[PublishedFigure]
    between: dict[str, tuple[float, float]] = field(default_factory=dict)


def load_references(path: Path = TABLE) -> list[Reference]:
    """The table of published figures."""
    return [
        Reference(**row | {"figures": [PublishedFigure(**figure) for figure in row["figures"]]})
        for row in read_yaml(path)
    ]


def differing_keys(reference: Reference, params: Mapping[str, Any]) -> list[str]:
    """The dotted keys in which a run is set up otherwise than the reference; none where they may be compared.

    Args:
        params: values of `params.yaml` under dotted keys.
    """
    missing = object()
    differing = [key for key, wanted in reference.setup.items() if params.get(key, missing) != wanted]
    for key, (low, high) in reference.between.items():
        value = params.get(key)
        if value is None or not low <= value <= high:
            differing.append(key)
    return differing


def compared_with_published(
    params: Mapping[str, Any], read: Callable[[str], Any], references: list[Reference] | None = None
) -> list[Finding]:
    """Our figures beside the published ones, of the set-ups that this run has; nothing for any other run.

    Args:
        params: values of `params.yaml` under dotted keys.
        read: gives what a file under `reports/` holds: rows of a table, or nested figures.
    """
    findings = []
    for reference in load_references() if references is None else references:
        if differing_keys(reference, params):
            continue
        for figure in reference.figures:
            ours = figure_at(read(figure.file), figure.at)
            if ours is not None and all(params.get(key) == wanted for key, wanted in figure.setup.items()):
                findings.append(beside_published(reference, figure, ours * figure.times))
    return findings


def figure_at(value: Any, path: list[str | int]) -> float | None:
    """The number at the end of a path through rows and keys; None if there is none."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError):
            return None
    return float(value)


def beside_published(reference: Reference, figure: PublishedFigure, ours: float) -> Finding:
    """One figure with its verdict: within the tolerance, better or worse, and by how much."""
    apart = ours - figure.published
    level: Level
    if abs(apart) <= figure.tolerance:
        verdict, level = f"within {figure.tolerance:g} of it", "good"
    elif figure.better == "lower":
        verdict, level = (f"better by {-apart:.2f}", "good") if apart < 0 else (f"worse by {apart:.2f}", "warning")
    else:
        verdict, level = f"{abs(apart):.2f} too {'low' if apart < 0 else 'high'}", "warning"
    text = (
        f"{reference.name}, {figure.what}: {ours:.2f}, published {figure.published:.2f}: {verdict}. "
        f"In {figure.unit}, by {reference.source}" + (f"; {figure.about}." if figure.about else ".")
    )
    return Finding(level, reference.model, text)
