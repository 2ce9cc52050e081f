import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.data import ragged
from luthier.data.ragged import Ragged, distinct, jaccard_likenesses, joined, offsets_of
from luthier.text import jaccard

RUNS = st.lists(st.lists(st.integers(0, 20) | st.just(2**32 - 1), max_size=30), max_size=12)
WIDTHS = st.sampled_from([np.uint32, np.uint64])


def make(runs: list[list[int]], width: type[np.unsignedinteger] = np.uint64) -> Ragged:
    """The runs as hashes whose highest value is that of the width."""
    highest = {2**32 - 1: int(np.iinfo(width).max)}
    values = np.array([highest.get(value, value) for run in runs for value in run], width)
    return Ragged(values, offsets_of(np.array([len(run) for run in runs], np.int64)))


def lists(made: Ragged) -> list[list[int]]:
    return [made.values[start:stop].tolist() for start, stop in zip(made.offsets[:-1], made.offsets[1:], strict=True)]


@given(RUNS, WIDTHS, st.sampled_from([1, 40, 1 << 20]))
def test_distinct_sorts_and_drops_what_stands_twice(
    runs: list[list[int]], width: type[np.unsignedinteger], block: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "_BLOCK_VALUES", block)
        found = distinct(make(runs, width))
    assert found.values.dtype == width
    assert lists(found) == lists(make([sorted(set(run)) for run in runs], width))


@given(RUNS, WIDTHS, st.randoms(use_true_random=False))
def test_likeness_is_jaccard_s(runs: list[list[int]], width: type[np.unsignedinteger], draw: random.Random) -> None:
    others = [list(run) for run in runs]
    draw.shuffle(others)
    found = jaccard_likenesses(distinct(make(runs, width)), distinct(make(others, width)))
    expected = [jaccard(set(one), set(other)) for one, other in zip(runs, others, strict=True)]
    assert found.tolist() == pytest.approx(expected)


@given(RUNS)
def test_runs_are_taken_and_joined_in_any_order(runs: list[list[int]]) -> None:
    backwards = np.arange(len(runs))[::-1]
    assert lists(make(runs).take(backwards)) == lists(make(runs[::-1]))
    assert lists(joined([make(runs), make([]), make(runs[:2])])) == lists(make([*runs, *runs[:2]]))
