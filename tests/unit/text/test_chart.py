import xml.etree.ElementTree as ElementTree

import pytest

from luthier.text.chart import HEIGHT, WIDTH, Series, Spread, line_chart, stacked_bars


def test_series_ranges_and_names_lie_inside_the_picture():
    series = (
        Series("measured", [(10, 3.0), (20, 2.5)], "red", dots=True, line=False),
        Series("<carried on>", [(20, 2.5), (80, 2.0)], "blue"),
    )
    picture = line_chart(series, "rows", "Loss & rows", 40, [Spread(80, 1.8, 2.0, 2.3, "blue")])
    root = ElementTree.fromstring(picture)
    assert root.get("aria-label") == "Loss & rows"
    assert len(list(root.iter("circle"))) == 3
    assert len(list(root.iter("polyline"))) == 1
    places = [(float(dot.get("cx")), float(dot.get("cy"))) for dot in root.iter("circle")]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert {"measured", "<carried on>", "rows", "rows 40"} <= {text.text for text in root.iter("text")}


def test_the_ends_of_a_range_make_room():
    alone = line_chart([Series("", [(0, 2.0), (1, 2.1)], "red")], "rows", "Loss")
    spread = line_chart([Series("", [(0, 2.0), (1, 2.1)], "red")], "rows", "Loss", spreads=[Spread(1, 1, 2, 5, "red")])
    labels = [
        [float(text.text) for text in ElementTree.fromstring(one).iter("text") if text.get("text-anchor") == "end"]
        for one in (alone, spread)
    ]
    assert max(labels[0]) < 3
    assert max(labels[1]) >= 5


def test_nothing_to_draw_is_no_picture():
    assert line_chart([Series("", [], "red")], "rows", "Loss") == ""
    assert stacked_bars([("a", [0.0], "")], ["red"], "Sizes") == ""


def test_bars_are_as_long_as_their_parts_are_large():
    picture = stacked_bars([("a & b", [1.0, 3.0], "4"), ("c", [2.0, 0.0], "2")], ["red", "blue"], "Sizes")
    bars = list(ElementTree.fromstring(picture).iter("rect"))
    widths = [float(bar.get("width")) for bar in bars]
    assert widths[1] == pytest.approx(3 * widths[0], abs=0.2)
    assert widths[2] == pytest.approx(2 * widths[0], abs=0.2)
    assert [bar.get("fill") for bar in bars] == ["red", "blue", "red", "blue"]
    assert float(bars[1].get("x")) == pytest.approx(float(bars[0].get("x")) + widths[0], abs=0.2)
