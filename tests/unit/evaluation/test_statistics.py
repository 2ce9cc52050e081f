import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.errors import EvaluationError
from luthier.evaluation.statistics import (
    Interval,
    figure_interval,
    mean_interval,
    paired_difference,
    paired_figure_difference,
    ratio,
    share_interval,
)

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)
pairs = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=40)


@settings(deadline=None)
@given(values)
def test_interval_holds_the_mean_and_stays_within_the_values(rows):
    interval = mean_interval(rows)
    assert interval.value == pytest.approx(np.mean(rows), abs=1e-6)
    assert min(rows) - 1e-6 <= interval.low <= interval.value <= interval.high <= max(rows) + 1e-6


@settings(deadline=None)
@given(pairs)
def test_paired_difference_is_antisymmetric(rows):
    ours, theirs = zip(*rows, strict=True)
    there, back = paired_difference(ours, theirs), paired_difference(theirs, ours)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low), abs=1e-6)


@settings(deadline=None)
@given(values)
def test_a_model_does_not_differ_from_itself(rows):
    assert paired_difference(rows, rows) == Interval(0.0, 0.0, 0.0)


def test_interval_of_a_mean_has_the_width_that_theory_gives():
    rows = np.random.default_rng(1).normal(size=400)
    interval = mean_interval(rows)
    expected = 1.96 * rows.std() / np.sqrt(400)
    assert interval.high - interval.value == pytest.approx(expected, rel=0.1)
    assert interval.value - interval.low == pytest.approx(expected, rel=0.1)


def test_intervals_hold_the_truth_about_95_times_in_100():
    draws = np.random.default_rng(2).exponential(size=(200, 200))
    held = sum(interval.low <= 1 <= interval.high for interval in map(mean_interval, draws))
    assert 180 <= held <= 198


def test_ratio_weighs_rows_by_their_denominator():
    assert figure_interval([[10, 10], [1, 100]], ratio).value == pytest.approx(0.1)


def test_a_difference_of_ratios_pairs_the_rows():
    """Rows are hard for both or for none: the difference is far surer than either figure."""
    tokens = np.random.default_rng(3).integers(5, 50, 200)
    hard = np.random.default_rng(4).exponential(size=200)
    ours, theirs = np.stack([hard * tokens, tokens], -1), np.stack([(hard + 0.1) * tokens, tokens], -1)
    difference = paired_figure_difference(ours, theirs, ratio)
    assert (difference.low, difference.value, difference.high) == pytest.approx((-0.1, -0.1, -0.1))
    alone = figure_interval(ours, ratio)
    assert alone.high - alone.low > 0.2


def test_a_difference_may_have_other_denominators_in_each_model():
    found = paired_figure_difference([[1, 2], [1, 2]], [[1, 4], [3, 4]], ratio)
    assert found.value == pytest.approx(0.0)


def test_the_seed_decides_the_interval():
    rows = np.arange(50.0)
    assert mean_interval(rows) == mean_interval(rows)
    assert mean_interval(rows, seed=1) != mean_interval(rows, seed=2)


def test_thousands_of_rows_take_well_under_a_second():
    rows = np.random.default_rng(0).normal(size=5000)
    start = time.process_time()
    mean_interval(rows)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"), [(0, 224, 0.0, 0.0169), (224, 224, 0.9831, 1.0), (81, 263, 0.2553, 0.3662)]
)
def test_share_has_the_interval_of_wilson(hits, rows, low, high):
    """The third case is from Newcombe 1998, Statistics in Medicine 17, table I."""
    interval = share_interval([True] * hits + [False] * (rows - hits))
    assert (interval.value, interval.low, interval.high) == pytest.approx((hits / rows, low, high), abs=1e-4)


@pytest.mark.parametrize("rows", [[], [1.0, float("nan")], [1.0, float("inf")]])
def test_what_has_no_mean_is_refused(rows):
    with pytest.raises(EvaluationError):
        mean_interval(rows)


def test_no_rows_have_no_share():
    with pytest.raises(EvaluationError, match="no rows"):
        share_interval([])


def test_rows_that_do_not_pair_are_a_bug():
    with pytest.raises(ValueError, match="do not pair"):
        paired_difference([1, 2], [1])
    with pytest.raises(ValueError, match="do not pair"):
        paired_figure_difference([[1, 2]], [[1, 2], [3, 4]], ratio)
    with pytest.raises(ValueError, match="not one list of columns"):
        figure_interval([1, 2], ratio)
