import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.planning.duration import Around, Range, Schedule, measured_speed, training_cost, training_seconds

SCHEDULE = Schedule(
    tokens_per_epoch=10_000, num_train_epochs=3, tokens_per_step=1_024, validation_tokens=1_000, eval_steps=10
)


def test_steps_are_whole_and_the_last_validation_counts():
    assert (SCHEDULE.steps, SCHEDULE.validations) == (30, 3)
    longer = Schedule(10_300, 3, 1_024, 1_000, 10)
    assert (longer.steps, longer.validations) == (33, 4)


def test_without_validation_rows_nothing_is_validated():
    assert Schedule(10_000, 3, 1_024, 0, 10).validations == 0


def test_seconds_are_work_over_speed():
    """30,000 training tokens and 3 validations of 1,000 at twice the speed are 31,500."""
    seconds = training_seconds(SCHEDULE, Range(100, 200, 300))
    assert (seconds.low, seconds.expected, seconds.high) == pytest.approx((105, 157.5, 315))


def test_what_a_probe_timed_beside_the_steps_counts():
    """30,000 tokens at 200 and 3 validations of 1,000 at 500 are 156 s; a checkpoint every 30 s and at validations."""
    around = Around(10.0, 500.0, save_seconds=2.0, seconds_between_saves=30.0)
    expected = training_seconds(SCHEDULE, Range(200, 200, 200), around).expected
    assert expected == pytest.approx(10 + 156 + 2 * (156 / 30 + 4))


def test_speed_is_the_median_of_the_steps_with_slowest_and_fastest():
    assert measured_speed([500, 520, 90, 510]) == Range(90, 505, 520)


@pytest.mark.parametrize("speeds", [[], [0.0, 1.0]])
def test_a_speed_needs_measurements(speeds):
    with pytest.raises(ValueError, match="at least one"):
        measured_speed(speeds)


def test_cost_is_hours_times_price():
    assert training_cost(Range(1800, 3600, 7200), 2.5) == Range(1.25, 2.5, 5.0)


def test_a_range_out_of_order_is_a_bug():
    with pytest.raises(ValueError, match="not in order"):
        Range(2, 1, 3)


@settings(deadline=None)
@given(st.lists(st.floats(0.1, 1e6), min_size=1), st.integers(1, 10**9), st.integers(1, 50))
def test_seconds_are_in_order_for_any_measured_speed(speeds, tokens, epochs):
    seconds = training_seconds(Schedule(tokens, epochs, 2_048, tokens // 10, 50), measured_speed(speeds))
    assert 0 < seconds.low <= seconds.expected <= seconds.high
