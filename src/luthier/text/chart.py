"""Pictures for reports: SVG that needs nothing else and follows the page's colours (CSS variables)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 84, 14, 36
_ROW, _NAMES, _BAR = 34, 150, 18
_LETTER = 6.5
"""Width of one at 12 pixels, about."""

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart; `name` stands at its end, `more` are SVG attributes of the line."""

    name: str
    points: Sequence[Point]
    colour: str
    more: str = 'stroke-width="2"'
    dots: bool = False
    line: bool = True


@dataclass(frozen=True, slots=True)
class Spread:
    """A value with a range, drawn as a line from low to high with a dot."""

    x: float
    low: float
    middle: float
    high: float
    colour: str


def line_chart(
    series: Sequence[Series], x_name: str, label: str, mark: float | None = None, spreads: Sequence[Spread] = ()
) -> str:
    """Lines over one axis; `label` says what the picture shows, `mark` is a place on the axis to point out. An empty
    string where there is no point."""
    drawn = [one for one in series if one.points]
    points = [point for one in drawn for point in one.points]
    points += [(spread.x, y) for spread in spreads for y in (spread.low, spread.high)]
    if not points:
        return ""
    scale = _Scale(points)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(label)}" '
        'style="width:100%;height:auto;font:12px system-ui,sans-serif">',
        *_axes(scale, x_name),
    ]
    for one in drawn:
        placed = [scale.place(point) for point in one.points]
        parts.append(_line(placed, one.colour, one.more) if one.line else "")
        parts += [_dot(point, one.colour) for point in placed] if one.dots else []
    parts += [_spread(spread, scale) for spread in spreads]
    parts += _names([one for one in drawn if one.name], scale)
    if mark is not None and scale.first <= mark <= scale.last:
        parts.append(_marker(scale, mark, x_name))
    return "".join(filter(None, parts)) + "</svg>"


def stacked_bars(rows: Sequence[tuple[str, Sequence[float], str]], colours: Sequence[str], label: str) -> str:
    """A bar for each row (name, sizes of its parts, text at its end); a colour for each part. An empty string where
    nothing has a size."""
    longest = max((sum(sizes) for _, sizes, _ in rows), default=0.0)
    if longest <= 0:
        return ""
    height = _ROW * len(rows) + 8
    room = WIDTH - _NAMES - 16 - _LETTER * max(len(text) for _, _, text in rows)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        'style="width:100%;height:auto;font:12px system-ui,sans-serif">'
    ]
    for number, (name, sizes, text) in enumerate(rows):
        y, x = 8 + number * _ROW, float(_NAMES)
        parts.append(f'<text x="{_NAMES - 8}" y="{y + 13}" text-anchor="end" fill="var(--ink)">{escape(name)}</text>')
        for size, colour in zip(sizes, colours, strict=True):
            width = room * size / longest
            parts.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>')
            x += width
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 13}" fill="var(--quiet)">{escape(text)}</text>')
    return "".join(parts) + "</svg>"


class _Scale:
    """From values to the picture's units. The upright axis ends at round numbers."""

    def __init__(self, points: Sequence[Point]) -> None:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        self.first, self.last = min(xs), max(max(xs), min(xs) + 1)
        unit = _round_unit((max(ys) - min(ys)) or 1.0)
        self.values = [index * unit for index in range(math.floor(min(ys) / unit), math.ceil(max(ys) / unit) + 1)]
        if len(self.values) == 1:
            self.values.append(self.values[0] + unit)

    def place(self, point: Point) -> Point:
        low, high = self.values[0], self.values[-1]
        x = _LEFT + (WIDTH - _LEFT - _RIGHT) * (point[0] - self.first) / (self.last - self.first)
        return x, _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - point[1]) / (high - low)


def _round_unit(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that about five of them make the span."""
    power = 10.0 ** math.floor(math.log10(span / 5))
    return next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 6)


def _axes(scale: _Scale, x_name: str) -> list[str]:
    parts = []
    for value in scale.values:
        _, y = scale.place((scale.first, value))
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--quiet)" '
            f'stroke-opacity="0.25"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="var(--quiet)">'
            f"{value:.4g}</text>"
        )
    for place in dict.fromkeys(round(scale.first + (scale.last - scale.first) * quarter / 4) for quarter in range(5)):
        x, _ = scale.place((place, scale.values[0]))
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle" fill="var(--quiet)">{place:.0f}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(
        f'<text x="{middle}" y="{HEIGHT - 3}" text-anchor="middle" fill="var(--quiet)">{escape(x_name)}</text>'
    )
    return parts


def _line(points: Sequence[Point], colour: str, more: str) -> str:
    if len(points) < 2:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" {more}/>'


def _dot(point: Point, colour: str) -> str:
    return f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="3" fill="{colour}"/>'


def _spread(spread: Spread, scale: _Scale) -> str:
    (x, low), (_, middle), (_, high) = (scale.place((spread.x, y)) for y in (spread.low, spread.middle, spread.high))
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{spread.colour}" stroke-width="2"/>'
        + _dot((x, middle), spread.colour)
    )


def _names(series: Sequence[Series], scale: _Scale) -> list[str]:
    """The name of each line at its end, at least a line of text apart."""
    ends = [(scale.place(one.points[-1])[1], one.name, one.colour) for one in series]
    parts, above = [], -math.inf
    for y, name, colour in sorted(ends):
        above = max(y + 4, above + 14)
        parts.append(f'<text x="{WIDTH - _RIGHT + 8}" y="{above:.1f}" fill="{colour}">{escape(name)}</text>')
    return parts


def _marker(scale: _Scale, place: float, x_name: str) -> str:
    x, _ = scale.place((place, scale.values[0]))
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="var(--quiet)" '
        f'stroke-dasharray="4 3"/><text x="{x + 4:.1f}" y="{_TOP + 10}" fill="var(--quiet)">'
        f"{escape(x_name)} {place:.0f}</text>"
    )
