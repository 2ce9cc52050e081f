import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from luthier.evaluation.chart import curves_svg
from luthier.text.chart import HEIGHT, WIDTH


def curve(losses, every=1):
    return [{"step": every * (place + 1), "loss": loss} for place, loss in enumerate(losses)]


def drawn(picture):
    """The picture as XML, and all coordinates of its lines."""
    root = ElementTree.fromstring(picture)
    lines = [line.get("points") for line in root.iter("polyline")]
    return root, [tuple(map(float, point.split(","))) for line in lines for point in line.split()]


def test_both_curves_lie_inside_the_picture_and_are_named():
    root, points = drawn(
        curves_svg(curve([3.0 - place / 100 for place in range(150)]), curve([2.9, 2.2, 2.4], 50), 100)
    )
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in points)
    texts = [text.text for text in root.iter("text")]
    assert {"training", "validation", "step", "step 100"} <= set(texts)
    assert len(list(root.iter("circle"))) == 3


def test_lower_losses_lie_lower():
    _, points = drawn(curves_svg([], curve([3.0, 1.0])))
    assert points[0][1] < points[1][1]


@pytest.mark.parametrize("losses", [[2.0], [2.0, 2.0], [0.0, 1e-9], [1e5, 3.0]])
def test_any_curve_has_a_picture(losses):
    root, _ = drawn(curves_svg(curve(losses), []))
    labels = [float(text.text) for text in root.iter("text") if re.fullmatch(r"[-\d.e+]+", text.text)]
    assert len(labels) >= 3


def test_what_is_not_finite_is_left_out():
    assert curves_svg([], []) == curves_svg(curve([math.nan]), curve([math.inf])) == ""
    _, points = drawn(curves_svg(curve([2.0, math.nan, 1.0]), []))
    assert all(math.isfinite(number) for point in points for number in point)


def test_a_step_beyond_the_curve_is_not_marked():
    assert "step 99" not in curves_svg(curve([2.0, 1.0]), [], 99)
