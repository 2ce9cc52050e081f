import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.data import ragged
from luthier.data.ragged import Ragged, distinct, jaccard_likenesses, joined, offsets_of
from luthier.text import jaccard

RUNS = st.lists(st.lists(st.integers(0, 20) | st.just(2**64 - 1), max_size=30), max_size=12)


def make(runs: list[list[int]]) -> Ragged:
    values = np.array([value for run in runs for value in run], np.uint64)
    return Ragged(values, offsets_of(np.array([len(run) for run in runs], np.int64)))


def lists(made: Ragged) -> list[list[int]]:
    return [made.values[start:stop].tolist() for start, stop in zip(made.offsets[:-1], made.offsets[1:], strict=True)]


@given(RUNS, st.sampled_from([1, 40, 1 << 20]))
def test_distinct_sorts_and_drops_what_stands_twice(runs: list[list[int]], block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "_BLOCK_VALUES", block)
        assert lists(distinct(make(runs))) == [sorted(set(run)) for run in runs]


@given(RUNS, st.randoms(use_true_random=False))
def test_likeness_is_jaccard_s(runs: list[list[int]], draw: random.Random) -> None:
    others = [list(run) for run in runs]
    draw.shuffle(others)
    found = jaccard_likenesses(distinct(make(runs)), distinct(make(others)))
    expected = [jaccard(set(one), set(other)) for one, other in zip(runs, others, strict=True)]
    assert found.tolist() == pytest.approx(expected)


@given(RUNS)
def test_runs_are_taken_and_joined_in_any_order(runs: list[list[int]]) -> None:
    backwards = np.arange(len(runs))[::-1]
    assert lists(make(runs).take(backwards)) == runs[::-1]
    assert lists(joined([make(runs), make([]), make(runs[:2])])) == [*runs, *runs[:2]]
