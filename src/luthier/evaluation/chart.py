"""The curves of a training as a picture."""

import math

import numpy as np

from luthier.evaluation.diagnosis import Curve, smoothed
from luthier.text.chart import Point, Series, line_chart


def curves_svg(train: Curve, validation: Curve, mark: int | None = None) -> str:
    """Training loss (each step faint, the smooth curve strong) and validation loss over steps; `mark` is a step to
    point out. Points whose loss is not finite are left out; an empty string where none is left.

    Colours come from the page's CSS variables --train, --held-out and --quiet.
    """
    steps, held_out = _finite(train), _finite(validation)
    even = list(zip([step for step, _ in steps], smoothed(np.array([loss for _, loss in steps])), strict=True))
    series = (
        Series("", steps, "var(--train)", 'stroke-opacity="0.25"'),
        Series("training", even, "var(--train)"),
        Series("validation", held_out, "var(--held-out)", dots=True),
    )
    return line_chart(series, "step", "Loss over steps", mark)


def _finite(curve: Curve) -> list[Point]:
    return [(point["step"], point["loss"]) for point in curve if math.isfinite(point["loss"])]
