"""Every token of every row has one place in the flat batch and one in the padded ones."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from luthier.kernels.layout import BUCKET_SLACK, RowLayout

some_lengths = st.lists(st.integers(1, 60), min_size=1, max_size=30)


@given(some_lengths)
def test_positions_start_anew_in_each_row(lengths: list[int]) -> None:
    layout = RowLayout.of(lengths)

    assert layout.lengths == tuple(lengths)
    assert layout.position_ids.tolist() == [place for length in lengths for place in range(length)]


@given(some_lengths)
def test_buckets_hold_each_token_once(lengths: list[int]) -> None:
    layout = RowLayout.of(lengths)

    tokens = torch.cat([bucket.tokens for bucket in layout.buckets])
    assert sorted(tokens.tolist()) == list(range(sum(lengths)))
    assert sum(bucket.rows for bucket in layout.buckets) == len(lengths)


@given(some_lengths)
def test_each_padded_row_is_one_row_in_order_and_then_padding(lengths: list[int]) -> None:
    row_of_token = [row for row, length in enumerate(lengths) for _ in range(length)]
    starts = [sum(lengths[:row]) for row in range(len(lengths))]

    for bucket in RowLayout.of(lengths).buckets:
        assert bucket.gather.shape == (bucket.rows * bucket.length,)
        assert torch.equal(bucket.gather[bucket.slots], bucket.tokens)
        real = set(bucket.slots.tolist())
        for place in range(bucket.rows):
            slots = [slot for slot in range(place * bucket.length, (place + 1) * bucket.length) if slot in real]
            row = row_of_token[int(bucket.gather[slots[0]])]
            assert slots == list(range(place * bucket.length, place * bucket.length + lengths[row]))
            assert bucket.gather[slots].tolist() == list(range(starts[row], starts[row] + lengths[row]))


@given(some_lengths)
def test_padding_stays_below_a_quarter(lengths: list[int]) -> None:
    buckets = RowLayout.of(lengths).buckets

    assert sum(bucket.rows * bucket.length for bucket in buckets) <= BUCKET_SLACK * sum(lengths)


def test_rows_of_like_length_share_a_bucket_whatever_their_order() -> None:
    layout = RowLayout.of([100, 10, 90, 11])

    assert [(bucket.rows, bucket.length) for bucket in layout.buckets] == [(2, 11), (2, 100)]
    assert layout.buckets[0].tokens.tolist() == [*range(100, 110), *range(200, 211)]
