import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from luthier.evaluation.chart import curves_png, curves_svg
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


def steps(losses):
    return [point | {"learning_rate": 2e-4, "gradient_norm": 1.0} for point in curve(losses)]


def pixels(train, validation, path):
    """The PNG as numbers from 0 to 255: [height, width, red green blue]."""
    curves_png({"train": train, "validation": validation, "gradients": []}, "shop, run-1", path)
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_the_png_marks_the_best_validation(tmp_path):
    places = []
    for losses in ([2.0, 1.0, 1.5, 1.8], [2.0, 1.8, 1.5, 1.0]):
        red, green, blue = np.moveaxis(pixels(steps([3.0] * 40), curve(losses, 10), tmp_path / "curves.png"), 2, 0)
        orange = (red > 240) & (green < 140) & (blue < 40)
        places.append(np.argwhere(orange[80:]).mean(axis=0))  # below the legend
    (high, early), (low, late) = places
    assert late - early > 200
    assert low == pytest.approx(high, abs=5)  # as low a loss


def test_the_png_can_be_read_without_colours(tmp_path):
    """The smooth curve of the training and the one of the validation differ in brightness."""
    shades = pixels(steps([2.0] * 40), curve([3.0, 3.0], 20), tmp_path / "curves.png").mean(axis=2)
    darkest = shades[80:450, 500:800].min(axis=1)  # between the axis and the right end, a row of pixels each
    assert sorted({int(shade) // 60 for shade in darkest if shade < 180}) == [0, 1]


@pytest.mark.parametrize("losses", [[], [2.0], [math.nan, math.inf], [1e9, 1e-9], [3.0] * 5000])
def test_any_training_has_a_png(losses, tmp_path):
    assert pixels(steps(losses), curve(losses[:3]), tmp_path / "curves.png").min() < 100
