from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.recipe import SplitSection
from luthier.core.rows import SPLITS, Split
from luthier.data.ragged import Ragged, offsets_of
from luthier.data.sketch import word_sets
from luthier.data.split import Bonds, assign_components, components_of, ranks_of, split_rows


def bonds(groups: Sequence[Sequence[int]], pairs: Sequence[tuple[int, int]] = ()) -> Bonds:
    values = np.array([group for some in groups for group in some], np.uint64)
    lengths = np.array([len(some) for some in groups], np.int64)
    return Bonds(Ragged(values, offsets_of(lengths)), np.array(pairs, np.int64).reshape(-1, 2))


def numbered(count: int) -> npt.NDArray[np.bytes_]:
    return np.array([f"row-{number}" for number in range(count)], np.bytes_)


def split_apart(count: int, settings: SplitSection, strata: Sequence[str] | None = None) -> list[str]:
    """The splits of rows that have nothing to do with each other."""
    splits = split_rows(numbered(count), np.arange(count), ranks_of([strata or [""] * count]), settings)
    return [SPLITS[split] for split in splits.tolist()]


def test_shares_are_met() -> None:
    splits = split_apart(200, SplitSection(validation=0.1, test=0.2))
    assert Counter(splits) == {"train": 140, "validation": 20, "test": 40}


def test_groups_pairs_and_words_keep_rows_together() -> None:
    texts = ["a b c d e f", "a b c d e", "g h", "i j", "k l", "m n", "o p"]
    together = components_of(word_sets(texts), bonds([[], [], [1], [1, 2], [2], [], []], [(5, 6)]))
    assert together.tolist() == [0, 0, 2, 2, 2, 5, 5]


def test_no_component_straddles() -> None:
    components = np.arange(300) // 3 * 3
    splits = split_rows(numbered(300), components, np.zeros(300, np.int64), SplitSection())
    assert all(len(set(splits[place : place + 3].tolist())) == 1 for place in range(0, 300, 3))
    assert Counter(splits.tolist()) == {0: 240, 1: 30, 2: 30}


def test_the_seed_decides_and_the_order_does_not() -> None:
    ids = numbered(50)

    def split(names: npt.NDArray[np.bytes_], seed: int) -> dict[bytes, int]:
        splits = split_rows(names, np.arange(50), np.zeros(50, np.int64), SplitSection(seed=seed))
        return dict(zip(names.tolist(), splits.tolist(), strict=True))

    assert split(ids, 1) == split(ids[::-1], 1)
    assert split(ids, 1) != split(ids, 2)


def test_every_stratum_has_its_share() -> None:
    strata = ["order"] * 300 + ["refund"] * 60 + ["rare"] * 10
    counts = Counter(zip(strata, split_apart(370, SplitSection(), strata), strict=True))
    assert [counts[name, "test"] for name in ("order", "refund", "rare")] == [30, 6, 1]
    assert [counts[name, "validation"] for name in ("order", "refund", "rare")] == [30, 6, 1]


def test_strata_of_single_rows_still_give_every_split_its_share() -> None:
    splits = split_apart(100, SplitSection(), [f"label {number}" for number in range(100)])
    assert Counter(splits) == {"train": 80, "validation": 10, "test": 10}


def test_a_component_counts_as_what_most_of_its_rows_are() -> None:
    strata = ranks_of([["a", "a", "b"] * 40])
    splits = split_rows(numbered(120), np.arange(120) // 3 * 3, strata, SplitSection())
    assert Counter(splits.tolist()) == {0: 96, 1: 12, 2: 12}


def test_no_rows_make_no_splits() -> None:
    assert split_rows(numbered(0), np.empty(0, np.int64), ranks_of([]), SplitSection()).tolist() == []


@pytest.mark.parametrize(
    ("sizes", "shares", "counts"),
    [
        ([1] * 10, {"test": 0.1, "validation": 0.1}, {"train": 8, "test": 1, "validation": 1}),
        ([1] * 12, {"test": 0.01, "validation": 0.0}, {"train": 11, "test": 1}),
        ([100, *[1] * 9], {"test": 0.1, "validation": 0.1}, {"train": 102 - 11 - 2 + 11, "test": 9}),
        ([1], {"test": 0.4, "validation": 0.4}, {"train": 1}),
        ([1, 1, 1], {"test": 0.1, "validation": 0.1}, {"train": 3}),
        ([5] * 10, {"test": 0.02, "validation": 0.02}, {"train": 40, "test": 5, "validation": 5}),
    ],
)
def test_components_go_where_they_fit(sizes: list[int], shares: dict[Split, float], counts: dict[str, int]) -> None:
    rows: Counter[str] = Counter()
    for split, size in zip(assign_components([np.array(sizes)], shares).tolist(), sizes, strict=True):
        rows[SPLITS[split]] += size
    assert rows == counts


@given(st.lists(st.integers(1, 30), min_size=10, max_size=60), st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_every_split_gets_rows_and_training_too(sizes: list[int], test: float, validation: float) -> None:
    assert set(assign_components([np.array(sizes)], {"test": test, "validation": validation}).tolist()) == {0, 1, 2}


def test_ranks_follow_the_names_over_all_batches() -> None:
    assert ranks_of([["b", ""], [], ["a", "b"]]).tolist() == [2, 0, 1, 2]
