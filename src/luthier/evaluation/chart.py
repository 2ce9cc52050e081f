"""The curves of a training as a picture: SVG that needs nothing else and follows the page's colours."""

import math
from collections.abc import Sequence

import numpy as np

from luthier.evaluation.diagnosis import Curve, smoothed

WIDTH, HEIGHT = 720, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 84, 14, 36

Point = tuple[float, float]


def curves_svg(train: Curve, validation: Curve, mark: int | None = None) -> str:
    """Training loss (each step faint, the smooth curve strong) and validation loss over steps; `mark` is a step to
    point out. Points whose loss is not finite are left out; an empty string where none is left.

    Colours come from the page's CSS variables --train, --held-out and --quiet.
    """
    steps, held_out = _finite(train), _finite(validation)
    if not steps and not held_out:
        return ""
    even = list(zip([step for step, _ in steps], smoothed(np.array([loss for _, loss in steps])), strict=True))
    scale = _Scale([*steps, *held_out])
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss over steps" '
        'style="width:100%;height:auto;font:12px system-ui,sans-serif">',
        *_axes(scale),
        _line([scale.place(point) for point in steps], "var(--train)", 'stroke-opacity="0.25"'),
        _line([scale.place(point) for point in even], "var(--train)", 'stroke-width="2"'),
        _line([scale.place(point) for point in held_out], "var(--held-out)", 'stroke-width="2"'),
        *(_dot(scale.place(point)) for point in held_out),
        *_names([("training", even, "var(--train)"), ("validation", held_out, "var(--held-out)")], scale),
    ]
    if mark is not None and scale.steps[0] <= mark <= scale.steps[1]:
        parts.append(_marker(scale, mark))
    return "".join(filter(None, parts)) + "</svg>"


class _Scale:
    """From (step, loss) to the picture's units. The axis of the loss ends at round numbers."""

    def __init__(self, points: Sequence[Point]) -> None:
        steps = [step for step, _ in points]
        losses = [loss for _, loss in points]
        self.steps = min(steps), max(max(steps), min(steps) + 1)
        unit = _round_unit((max(losses) - min(losses)) or 1.0)
        self.losses = [
            index * unit for index in range(math.floor(min(losses) / unit), math.ceil(max(losses) / unit) + 1)
        ]
        if len(self.losses) == 1:
            self.losses.append(self.losses[0] + unit)

    def place(self, point: Point) -> Point:
        (first, last), low, high = self.steps, self.losses[0], self.losses[-1]
        x = _LEFT + (WIDTH - _LEFT - _RIGHT) * (point[0] - first) / (last - first)
        return x, _TOP + (HEIGHT - _TOP - _BOTTOM) * (high - point[1]) / (high - low)


def _round_unit(span: float) -> float:
    """1, 2 or 5 times a power of ten, so that about five of them make the span."""
    power = 10.0 ** math.floor(math.log10(span / 5))
    return next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 6)


def _finite(curve: Curve) -> list[Point]:
    return [(point["step"], point["loss"]) for point in curve if math.isfinite(point["loss"])]


def _axes(scale: _Scale) -> list[str]:
    parts = []
    for loss in scale.losses:
        _, y = scale.place((scale.steps[0], loss))
        parts.append(
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--quiet)" '
            f'stroke-opacity="0.25"/><text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="var(--quiet)">'
            f"{loss:.4g}</text>"
        )
    first, last = scale.steps
    for step in dict.fromkeys(round(first + (last - first) * quarter / 4) for quarter in range(5)):
        x, _ = scale.place((step, scale.losses[0]))
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle" fill="var(--quiet)">{step:.0f}</text>')
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 3}" text-anchor="middle" fill="var(--quiet)">step</text>')
    return parts


def _line(points: Sequence[Point], colour: str, more: str) -> str:
    if len(points) < 2:
        return ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" {more}/>'


def _dot(point: Point) -> str:
    return f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="3" fill="var(--held-out)"/>'


def _names(curves: Sequence[tuple[str, Sequence[Point], str]], scale: _Scale) -> list[str]:
    """The name of each curve at its end, at least a line of text apart."""
    ends = [(scale.place(points[-1])[1], name, colour) for name, points, colour in curves if points]
    parts, above = [], -math.inf
    for y, name, colour in sorted(ends):
        above = max(y + 4, above + 14)
        parts.append(f'<text x="{WIDTH - _RIGHT + 8}" y="{above:.1f}" fill="{colour}">{name}</text>')
    return parts


def _marker(scale: _Scale, step: int) -> str:
    x, _ = scale.place((step, scale.losses[0]))
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" stroke="var(--quiet)" '
        f'stroke-dasharray="4 3"/><text x="{x + 4:.1f}" y="{_TOP + 10}" fill="var(--quiet)">step {step}</text>'
    )
