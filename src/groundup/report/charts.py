"""The pictures of the HTML report, as SVG that stands in the page and takes its colours from it.

A chart is drawn for the width of a phone and grows with its place, so that its letters stay legible there. Colours and
dashes are classes that the page's style sheet knows; so one picture serves light, dark and paper.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

WIDTH, HEIGHT = 420, 260
LEFT, RIGHT, TOP, BOTTOM = 50, 22, 28, 42  # room for the labels of the axes
MOST_POINTS = 400  # a curve of more is thinned: more than one point a pixel shows nothing more
SERIES_STYLES = 6  # of colour and dash together, in the style sheet

CELL, LABEL = 18, 78  # of a large attention map: a square, and the room of a label
LONGEST_LABEL = 11  # characters
LEVELS = 8  # shades of the small attention maps
GAP = 2  # squares between small maps

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """A curve.

    Args:
        style: a class of the style sheet: `s0` … for curves side by side, `train` and `validation` for losses.
        dots: whether each point is marked, as few points are.
    """

    name: str
    points: Sequence[Point]
    style: str
    dots: bool = False


@dataclass(frozen=True)
class Axis:
    """One direction of a chart.

    Args:
        low, high: where it begins and ends; None: with the points.
    """

    label: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    percent: bool = False


class _Scale:
    """Turns values of an axis into places in the picture."""

    def __init__(self, axis: Axis, values: Sequence[float], start: float, end: float) -> None:
        self.axis, self.start, self.end = axis, start, end
        low = min(values, default=0.0) if axis.low is None else axis.low
        high = max(values, default=1.0) if axis.high is None else axis.high
        self.log = axis.log and low > 0
        if high <= low:  # a single value lies in the middle
            low, high = (low / 2, low * 2) if self.log else (low - 0.5, low + 0.5)
        self.ticks = _log_ticks(low, high) if self.log else _ticks(low, high)
        if axis.low is None and not self.log:
            low = min(low, self.ticks[0])
        if axis.high is None and not self.log:
            high = max(high, self.ticks[-1])
        self.low, self.high = low, high
        self.ticks = [tick for tick in self.ticks if low - 1e-9 <= tick <= high + 1e-9]

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log(value), math.log(low), math.log(high)
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def written(self, tick: float) -> str:
        return f"{100 * tick:.3g} %" if self.axis.percent else short_number(tick)


def line_chart(
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    said: str,
    *,
    diagonal: bool = False,
    mark: tuple[Point, str] | None = None,
) -> Markup:
    """Curves over two axes.

    Args:
        said: what one sees, for who does not see it.
        diagonal: draw the line from corner to corner, for what one would get by chance or by perfect calibration.
        mark: a point to ring, and what stands beside it.
    """
    curves = [(each, thinned([p for p in each.points if _finite(p)])) for each in series]
    xs = [point[0] for _, points in curves for point in points]
    ys = [point[1] for _, points in curves for point in points]
    across, up = _Scale(x, xs, LEFT, WIDTH - RIGHT), _Scale(y, ys, HEIGHT - BOTTOM, TOP)
    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_quoted(said)}">']
    for tick in up.ticks:
        at = _place(up(tick))
        parts.append(f'<path class="grid" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 7}" y="{at}" dy=".33em" text-anchor="end">{up.written(tick)}</text>')
    for tick in across.ticks:
        at = _place(across(tick))
        parts.append(f'<path class="grid" d="M{at} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{at}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{across.written(tick)}</text>')
    parts.append(f'<text class="axis" x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{_quoted(x.label)}</text>')
    parts.append(f'<text class="axis" x="0" y="12">{_quoted(y.label)}</text>')
    if diagonal:
        parts.append(f'<path class="chance" d="M{LEFT} {HEIGHT - BOTTOM}L{WIDTH - RIGHT} {TOP}"/>')
    for each, points in curves:
        path = "L".join(f"{_place(across(px))} {_place(up(py))}" for px, py in points)
        parts.append(f'<path class="curve {each.style}" d="M{path}"/>' if len(points) > 1 else "")
        if each.dots or len(points) == 1:
            parts += [
                f'<circle class="{each.style}" cx="{_place(across(px))}" cy="{_place(up(py))}" r="3"/>'
                for px, py in points
            ]
    if mark is not None:
        (px, py), words = mark
        left = across(px) > WIDTH / 2
        parts.append(f'<circle class="ring" cx="{_place(across(px))}" cy="{_place(up(py))}" r="6"/>')
        parts.append(
            f'<text class="mark" x="{_place(across(px) + (5 if left else -5))}" y="{_place(up(py) - 12)}" '
            f'text-anchor="{"end" if left else "start"}">{_quoted(words)}</text>'
        )
    return Markup("".join(parts) + "</svg>")  # every text in it is quoted above


def attention_map(tokens: Sequence[str], rows: Sequence[Sequence[float]], said: str) -> Markup:
    """How much each token (a row) looks at each (a column), with a label at both ends and the number in a tooltip.

    Args:
        rows: for each token the weights of what it may look at, itself last.
    """
    n = len(rows)
    labels = [_quoted(_label(token)) for token in tokens]
    width, height = LABEL + n * CELL + 4, LABEL + n * CELL + 4
    parts = [f'<svg class="attention" viewBox="0 0 {width} {height}" role="img" aria-label="{_quoted(said)}">']
    for i, row in enumerate(rows):
        top = LABEL + i * CELL
        # The name of a column stands right above its first square: what is to the right of the diagonal is empty.
        at = f"translate({LABEL + i * CELL + CELL // 2} {top - 5}) rotate(-90)"
        parts.append(f'<text transform="{at}" dy=".33em">{labels[i]}</text>')
        parts.append(f'<text x="{LABEL - 6}" y="{top + CELL // 2}" dy=".33em" text-anchor="end">{labels[i]}</text>')
        for j, weight in enumerate(row):
            tip = f"<title>{labels[i]} looks at {labels[j]}: {100 * weight:.0f} %</title>"
            square = f'x="{LABEL + j * CELL}" y="{top}" width="{CELL - 1}" height="{CELL - 1}"'
            parts.append(f'<rect class="cell" {square} fill-opacity="{weight:.2f}">{tip}</rect>')
    return Markup("".join(parts) + "</svg>")  # every text in it is quoted above


def attention_overview(
    layers: Sequence[Sequence[Sequence[Sequence[float]]]], column: str, ringed: Sequence[tuple[int, int]], said: str
) -> Markup:
    """All maps small, a row of them for each layer.

    Args:
        column: what a column is, such as `head`.
        ringed: layer and column of the maps that are shown large.
    """
    n = len(layers[0][0])
    step = n + GAP
    left, top = 0.5 * n, 0.35 * n
    n_columns = len(layers[0])
    width, height = left + n_columns * step, top + len(layers) * step
    size = 0.24 * n
    parts = [
        f'<svg class="overview" viewBox="0 0 {width:.4g} {height:.4g}" role="img" aria-label="{_quoted(said)}" '
        f'style="font-size:{size:.3g}px">'
    ]
    for number in range(n_columns):
        place = left + number * step + n / 2
        parts.append(f'<text x="{place:.4g}" y="{size:.3g}" text-anchor="middle">{_quoted(column)} {number + 1}</text>')
    for i, layer in enumerate(layers):
        middle = top + i * step + n / 2
        parts.append(f'<text transform="translate({size:.3g} {middle:.4g}) rotate(-90)" text-anchor="middle">')
        parts.append(f"layer {i + 1}</text>")
        for j, rows in enumerate(layer):
            strong = " strong" if (i, j) in ringed else ""
            parts.append(f'<g transform="translate({left + j * step:.4g} {top + i * step:.4g})">')
            parts.append(f'<path class="frame{strong}" d="M0 0V{n}H{n}Z"/>')
            squares: dict[int, list[str]] = {}
            for y, row in enumerate(rows):
                for x, weight in enumerate(row):
                    squares.setdefault(min(LEVELS, round(weight * LEVELS)), []).append(f"M{x} {y}h1v1h-1z")
            for level, drawn in sorted(squares.items()):
                if level:
                    parts.append(f'<path class="cell" fill-opacity="{level / LEVELS:.3g}" d="{"".join(drawn)}"/>')
            parts.append("</g>")
    return Markup("".join(parts) + "</svg>")  # every text in it is quoted above


def thinned(points: Sequence[Point]) -> list[Point]:
    """The points, of many only the lowest and the highest of each stretch, so that no spike is lost."""
    if len(points) <= MOST_POINTS:
        return list(points)
    stretch = math.ceil(len(points) / (MOST_POINTS // 2 - 1))
    kept = [points[0]]
    for start in range(1, len(points) - 1, stretch):
        part = points[start : min(start + stretch, len(points) - 1)]
        kept += sorted({min(part, key=lambda each: each[1]), max(part, key=lambda each: each[1])})
    return [*kept, points[-1]]


def short_number(value: float) -> str:
    """A number for an axis: 1500000 is 1.5M."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= unit:
            return f"{value / (1e3 if letter == 'k' else unit):.4g}{letter}"
    return f"{value:.4g}"


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers around the two, about five."""
    rough = (high - low) / 4
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within the two, with 2 and 5 times them where there are few."""
    exponents = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 3), (1, 2, 5), range(1, 10)):
        ticks = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        ticks = [float(f"{tick:.6g}") for tick in ticks if low * 0.999 <= tick <= high * 1.001]
        if len(ticks) >= 3:
            break
    else:
        ticks = [low, high] if len(ticks) < 2 else ticks
    while len(ticks) > 6:
        ticks = ticks[::2]
    return ticks


def _finite(point: Point) -> bool:
    return math.isfinite(point[0]) and math.isfinite(point[1])


def _place(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _label(token: str) -> str:
    """A token's text on one line; a space is told from none, which joins it to the token before."""
    text = token.replace("\n", "⏎").replace("\t", "⇥").strip(" ") or "␣"
    return text if len(text) <= LONGEST_LABEL else f"{text[: LONGEST_LABEL - 1]}…"


def _quoted(text: str) -> Markup:
    return Markup.escape(text)
