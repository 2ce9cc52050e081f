import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from luthier.core.recipe import AdapterSection, TrainingSection
from luthier.planning.buying import do_or_buy
from luthier.planning.duration import Around, Range
from luthier.planning.estimate import Machine, estimate
from luthier.planning.learning_curve import CurveForecast, Point
from luthier.planning.memory import Way
from luthier.planning.methods import compare_methods
from luthier.planning.prices import default_prices, read_prices
from luthier.planning.projection import here, project_on
from luthier.planning.proposal import propose
from luthier.planning.report_page import render_page
from luthier.planning.setup import Setup
from luthier.planning.shape import ModelShape
from luthier.planning.sufficiency import DataNeed
from luthier.planning.trained import trained_by
from luthier.planning.workload import Workload

SHAPE = ModelShape.of(json.loads(Path(__file__).with_name("smollm2_135m.json").read_text()))
CURVE = CurveForecast.of([Point(60, 3.2), Point(60, 3.3), Point(125, 2.8), Point(250, 2.5), Point(500, 2.3)], 1000)


@pytest.fixture(scope="module")
def page():
    """`page(curve)`: the page of a plan."""
    prices = read_prices(default_prices(), "prices.yaml")
    adapter, training = AdapterSection(), TrainingSection()
    workload = Workload.of([120] * 1000, 30_000, 5_000, "dataset-<1>")
    schedule, forward = workload.steps(training, 1024)
    setup = Setup(SHAPE, trained_by(SHAPE, adapter), Way("bfloat16"), forward, 16)
    speed, free = Range(400, 500, 600), int(2e9)

    def render(curve):
        need = DataNeed(True, "Rule of thumb.")
        need = need.with_curve(curve) if curve else need
        figures = estimate(setup, schedule, speed, Machine(free, 0.1), need)
        machines = [here("this machine", free, figures, speed, 65, True)]
        machines += [project_on(setup, schedule, device, prices) for device in prices.hardware]
        methods = compare_methods(setup, schedule, speed, Around(), free)
        proposals = propose(setup, workload, adapter, training, free)
        fields = {
            **figures.to_json(),
            "measured": True,
            "workload": workload.to_json(),
            "currency": "USD",
            "proposals": [one.to_json() for one in proposals],
            "do_or_buy": do_or_buy(prices, 1.0, "a <box>").to_json(),
        }
        return render_page("shop", figures, machines, methods, fields)

    return render


def test_the_page_answers_and_needs_nothing_else(page):
    text = page(None)
    for question in ("Does it fit on this machine? No.", "Does it fit elsewhere? Yes.", "Is there enough data? Yes."):
        assert question in text
    assert not re.search(r"<(script|link|img|iframe)|src=|https?://", text)
    assert "dataset-&lt;1&gt;" in text
    assert "a &lt;box&gt;" in text
    assert "no quote yet" in text
    assert "from what makers publish (NVIDIA L4 data sheet 2023; " in text


def test_charts_are_drawn_and_the_curve_where_there_is_one(page):
    without, with_curve = page(None), page(CURVE)
    pictures = re.findall(r"<svg.*?</svg>", with_curve, re.DOTALL)
    assert len(pictures) == 3
    assert len(re.findall(r"<svg", without)) == 2
    labels = [ElementTree.fromstring(picture).get("aria-label") for picture in pictures]
    assert labels == ["Memory by what holds it", "Time by machine", "Loss by the number of rows"]
    assert CURVE.sentence in with_curve.replace("&#39;", "'")


def test_more_data_that_would_help_is_no(page):
    assert not CURVE.enough
    assert "Is there enough data? No." in page(CURVE)
    assert "Is there enough data? Yes." in page(replace(CURVE, gain=Range(0.0, 0.001, 0.01)))
