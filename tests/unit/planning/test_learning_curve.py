import numpy as np
import pytest

from luthier.planning.learning_curve import CurveForecast, LearningCurve, Point

PARTS = (1 / 16, 1 / 16, 1 / 8, 1 / 4)


def law(rows, floor=1.0, scale=4.0, power=0.4):
    return floor + scale * rows**-power


def points(parts, rows=1000, noise=0.0, seed=0, **numbers):
    source = np.random.default_rng(seed)
    counts = [int(rows * part) for part in parts]
    return [Point(count, law(count, **numbers) * (1 + noise * source.standard_normal())) for count in counts]


def test_points_of_a_law_are_carried_on_along_it():
    found = CurveForecast.of(points((*PARTS, 1 / 2)), 1000)
    assert found.at_all.expected == pytest.approx(law(1000), rel=0.02)
    assert found.at_all.low < law(1000) < found.at_all.high
    gain = (law(1000) - law(2000)) / law(1000)
    assert found.gain.low < gain < found.gain.high
    assert not found.enough
    assert "more data would help" in found.sentence


@pytest.mark.parametrize(("parts", "error"), [(PARTS, 0.04), ((*PARTS, 1 / 2), 0.02)])
def test_laws_of_many_kinds_with_noise_are_forecast_and_the_range_holds_what_it_says(parts, error):
    source = np.random.default_rng(1)
    off, inside = [], 0
    for seed in range(40):
        numbers = {"floor": source.uniform(0, 2), "scale": source.uniform(0.5, 8), "power": source.uniform(0.1, 0.7)}
        found = CurveForecast.of(points(parts, noise=0.01, seed=seed, **numbers), 1000)
        truth = law(1000, **numbers)
        off.append(abs(found.at_all.expected / truth - 1))
        inside += found.at_all.low <= truth <= found.at_all.high
    assert np.mean(off) < error
    assert np.quantile(off, 0.9) < 2 * error
    assert inside > 32


def test_more_points_make_it_surer():
    few, more = (CurveForecast.of(points(parts), 1000).at_all for parts in (PARTS, (*PARTS, 1 / 2)))
    assert more.high - more.low < few.high - few.low


def test_a_flat_curve_says_that_there_is_enough():
    found = CurveForecast.of([Point(60, 2.01), Point(125, 2.0), Point(250, 2.0), Point(500, 2.0)], 1000)
    assert found.enough
    assert "hardly worth it" in found.sentence


def test_repeats_that_differ_widen_the_range():
    alike = LearningCurve.fit([Point(60, 3.0), Point(60, 3.0), Point(125, 2.6), Point(250, 2.3)])
    apart = LearningCurve.fit([Point(60, 2.7), Point(60, 3.3), Point(125, 2.6), Point(250, 2.3)])
    assert apart.noise > 2 * alike.noise
    assert apart.at(1000).high - apart.at(1000).low > alike.at(1000).high - alike.at(1000).low


def test_two_numbers_of_rows_are_no_curve():
    with pytest.raises(ValueError, match="at least three"):
        LearningCurve.fit([Point(10, 3.0), Point(20, 2.0), Point(20, 2.1)])


def test_json_holds_ranges():
    found = CurveForecast.of(points(PARTS), 1000).to_json()
    assert found["points"][0] == {"rows": 62, "loss": law(62)}
    for name in ("at_all", "at_double", "gain"):
        assert found[name]["low"] <= found[name]["expected"] <= found[name]["high"]
