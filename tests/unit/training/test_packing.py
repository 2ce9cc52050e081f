import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.training.packing import pack

CAPACITY = 100
lengths_of_rows = st.lists(st.integers(1, CAPACITY), max_size=60)


def _loads(lengths, packs):
    return [sum(lengths[row] for row in rows) for rows in packs]


@settings(deadline=None)
@given(lengths_of_rows)
def test_every_row_is_in_exactly_one_pack(lengths):
    packs = pack(lengths, CAPACITY)
    assert sorted(row for rows in packs for row in rows) == list(range(len(lengths)))
    assert all(packs)


@settings(deadline=None)
@given(lengths_of_rows)
def test_no_pack_exceeds_the_capacity(lengths):
    assert max(_loads(lengths, pack(lengths, CAPACITY)), default=0) <= CAPACITY


@settings(deadline=None)
@given(lengths_of_rows)
def test_no_two_packs_would_fit_into_one(lengths):
    lightest = sorted(_loads(lengths, pack(lengths, CAPACITY)))[:2]
    assert len(lightest) < 2 or sum(lightest) > CAPACITY


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, CAPACITY - 1), max_size=8, unique=True), min_size=1, max_size=30))
def test_packs_stay_near_the_fewest_possible(cuts_of_packs):
    """Full packs cut into rows: the fewest possible is known, namely their number."""
    lengths = []
    for cuts in cuts_of_packs:
        edges = [0, *sorted(cuts), CAPACITY]
        lengths += [right - left for left, right in itertools.pairwise(edges)]
    assert len(pack(lengths, CAPACITY)) <= 11 / 9 * len(cuts_of_packs) + 1


def test_rows_of_a_common_length_leave_less_than_two_percent_empty():
    source = random.Random(0)
    lengths = [min(1024, max(8, int(source.lognormvariate(4.6, 0.6)))) for _ in range(1000)]
    assert len(pack(lengths, 1024)) <= math.ceil(1.02 * sum(lengths) / 1024)


def test_a_row_goes_into_the_fullest_pack_that_has_room():
    assert pack([6, 5, 4, 3], 10) == [[0, 2], [1, 3]]


def test_a_row_as_long_as_a_pack_fits_and_a_longer_one_is_refused():
    assert pack([10], 10) == [[0]]
    with pytest.raises(ValueError, match="row 1 has 11 tokens, a pack only 10"):
        pack([3, 11], 10)


def test_no_rows_make_no_packs():
    assert pack([], 10) == []
