"""Every token of every row has one place in the flat batch and one in the padded ones."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from luthier.kernels import layout
from luthier.kernels.layout import BUCKET_SLACK, Prefix, RowLayout

some_lengths = st.lists(st.integers(1, 60), min_size=1, max_size=30)


@given(some_lengths)
def test_positions_start_anew_in_each_row(lengths: list[int]) -> None:
    rows = RowLayout.of(lengths)

    assert rows.lengths == tuple(lengths)
    assert rows.position_ids.tolist() == [place for length in lengths for place in range(length)]


@given(some_lengths)
def test_buckets_hold_each_row_once_in_order_and_then_padding(lengths: list[int]) -> None:
    starts = [sum(lengths[:row]) for row in range(len(lengths))]
    expected = {tuple(range(start, start + length)) for start, length in zip(starts, lengths, strict=True)}

    found = []
    for bucket in RowLayout.of(lengths).buckets:
        assert bucket.tokens.shape == (bucket.rows, bucket.length)
        for places in bucket.tokens.tolist():
            own = [place for place in places if place >= 0]
            assert places == own + [-1] * (bucket.length - len(own))
            found.append(tuple(own))
    assert len(found) == len(lengths)
    assert set(found) == expected


@given(some_lengths)
def test_padding_stays_below_a_quarter(lengths: list[int]) -> None:
    buckets = RowLayout.of(lengths).buckets

    assert sum(bucket.rows * bucket.length for bucket in buckets) <= BUCKET_SLACK * sum(lengths)


def test_rows_of_like_length_share_a_bucket_whatever_their_order() -> None:
    rows = RowLayout.of([100, 10, 90, 11])

    assert [(bucket.rows, bucket.length) for bucket in rows.buckets] == [(2, 11), (2, 100)]
    short = rows.buckets[0].tokens
    assert torch.equal(short[0], torch.tensor([*range(100, 110), -1]))
    assert torch.equal(short[1], torch.arange(200, 211))


def test_rows_go_on_where_their_prefix_ends_and_share_a_bucket_only_behind_the_same_one() -> None:
    first, second = Prefix(0, 4), Prefix(4, 3)
    rows = RowLayout.of([2, 2, 2, 2], [first, second, first, None], before=7)

    assert rows.position_ids.tolist() == [4, 5, 3, 4, 4, 5, 0, 1]
    assert [(bucket.prefix, bucket.rows) for bucket in rows.buckets] == [(None, 1), (first, 2), (second, 1)]
    assert [bucket.prefix_length for bucket in rows.buckets] == [0, 4, 3]


def test_a_bucket_is_no_larger_than_the_cache_is_good_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "BUCKET_SCORES", 250)

    assert [bucket.rows for bucket in RowLayout.of([10] * 5).buckets] == [2, 2, 1]
    assert [bucket.rows for bucket in RowLayout.of([20, 20]).buckets] == [1, 1]
