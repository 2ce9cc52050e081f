import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.core.recipe import TrainingSection
from luthier.core.rows import TokenRow
from luthier.training.schedule import Schedule, pack_capacity

CAPACITY = 64


def _rows(lengths):
    return [TokenRow(f"row-{n}", (1,) * length, (False, *[True] * (length - 1))) for n, length in enumerate(lengths)]


ROWS = _rows([5, 30, 64, 12, 7, 41, 22, 9, 18, 33, 3, 50, 27])


def _schedule(rows=ROWS, **settings):
    return Schedule.of(rows, TrainingSection(**settings), CAPACITY)


def _ids(step):
    return [row.id for batch in step for row in batch]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, CAPACITY), min_size=1, max_size=30),
    st.booleans(),
    st.integers(1, 4),
    st.integers(1, 4),
    st.integers(1, 3),
)
def test_each_row_comes_once_in_each_epoch(lengths, packing, batch_size, accumulation, epochs):
    rows = _rows(lengths)
    schedule = _schedule(
        rows,
        packing=packing,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
        num_train_epochs=epochs,
    )
    assert len(schedule.steps) == epochs * schedule.steps_per_epoch
    for epoch in range(epochs):
        steps = schedule.steps[epoch * schedule.steps_per_epoch :][: schedule.steps_per_epoch]
        assert sorted(name for step in steps for name in _ids(step)) == sorted(row.id for row in rows)
    assert all(1 <= len(step) <= accumulation and all(step) for step in schedule.steps)
    largest = batch_size * (CAPACITY if packing else max(lengths))
    assert all(sum(map(len, batch)) <= largest for step in schedule.steps for batch in step)
    assert schedule.tokens == epochs * sum(lengths)


def test_each_epoch_has_its_share_of_replayed_rows_and_takes_the_next_ones():
    general = [TokenRow(f"general-{number}", (1,) * 9, (False, *[True] * 8)) for number in range(8)]
    replay = {"sources": ["general.jsonl"], "share": 0.2}
    schedule = Schedule.of(ROWS, TrainingSection(replay=replay, packing=False), CAPACITY, replay=general)
    epochs = [schedule.steps[start : start + 8] for start in range(0, 24, 8)]
    taken = [sorted(name for step in epoch for name in _ids(step) if name.startswith("general")) for epoch in epochs]
    assert [len(names) for names in taken] == [3, 3, 3]  # of 13 + 3 rows
    assert len({*taken[0], *taken[1]}) == 6
    assert len({name for names in taken for name in names}) == 8  # the ninth is the first one again
    assert Schedule.of(ROWS, TrainingSection(replay=replay, packing=False), CAPACITY, replay=general) == schedule
    assert len(Schedule.of(ROWS, TrainingSection(packing=False), CAPACITY, replay=general).steps) == 21


def test_the_same_seed_gives_the_same_steps():
    assert _schedule(seed=3) == _schedule(seed=3)
    assert _schedule(seed=3).steps != _schedule(seed=4).steps


def test_epochs_come_in_different_orders():
    schedule = _schedule(packing=False, num_train_epochs=2)
    half = schedule.steps_per_epoch
    assert [_ids(step) for step in schedule.steps[:half]] != [_ids(step) for step in schedule.steps[half:]]


def test_accumulation_deals_the_same_rows_into_smaller_batches():
    together = _schedule(per_device_train_batch_size=4, gradient_accumulation_steps=1, seed=1)
    apart = _schedule(per_device_train_batch_size=1, gradient_accumulation_steps=4, seed=1)
    assert [_ids(step) for step in together.steps] == [_ids(step) for step in apart.steps]
    assert {len(step) for step in together.steps} == {1}
    assert max(len(step) for step in apart.steps) == 4


def test_without_packing_a_batch_holds_that_many_rows():
    schedule = _schedule(packing=False, per_device_train_batch_size=4, num_train_epochs=1)
    assert [len(batch) for step in schedule.steps for batch in step] == [4, 4, 4, 1]


def test_learning_rate_warms_up_linearly_and_falls_by_half_a_cosine():
    schedule = Schedule(steps=((),) * 20, steps_per_epoch=20, learning_rate=8.0, warmup_steps=4)
    assert [schedule.learning_rate_at(step) for step in range(5)] == [2.0, 4.0, 6.0, 8.0, 8.0]
    assert schedule.learning_rate_at(8) == pytest.approx(8.0 * 0.5 * (1 + math.sqrt(0.5)))
    assert schedule.learning_rate_at(12) == pytest.approx(4.0)
    assert schedule.learning_rate_at(19) == pytest.approx(8.0 * 0.5 * (1 + math.cos(math.pi * 15 / 16)))


@pytest.mark.parametrize(("ratio", "steps"), [(0.25, 5), (0.0, 1), (0.001, 1)])
def test_warmup_is_a_share_of_all_steps_and_at_least_one(ratio, steps):
    rows = _rows([CAPACITY] * 10)
    schedule = _schedule(rows, warmup_ratio=ratio, num_train_epochs=2, per_device_train_batch_size=1)
    assert len(schedule.steps) == 20
    assert schedule.warmup_steps == steps
    assert schedule.learning_rate_at(steps - 1) == schedule.learning_rate


def test_a_row_longer_than_a_pack_is_refused():
    with pytest.raises(ValueError, match="65 tokens"):
        _schedule(_rows([65]))


@pytest.mark.parametrize(
    ("lengths", "max_length", "capacity"),
    [((3, 9), 4096, 1024), ((3, 9), 256, 256), ((3, 2000), 4096, 2000), ((), 4096, 1024)],
)
def test_packs_hold_the_longest_row(lengths, max_length, capacity):
    assert pack_capacity(_rows(lengths), max_length) == capacity


def test_a_row_may_be_another_in_each_epoch():
    settings = TrainingSection(num_train_epochs=2, per_device_train_batch_size=1)
    rows = Schedule.of(ROWS, settings, CAPACITY, at_epoch=lambda row, epoch: replace(row, id=f"{row.id}/{epoch}")).steps
    ids = [name for step in rows for name in _ids(step)]
    for epoch, seen in enumerate((ids[: len(ROWS)], ids[len(ROWS) :])):
        assert sorted(seen) == sorted(f"{row.id}/{epoch}" for row in ROWS)
