import random
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.data import dedupe
from luthier.data.dedupe import NearDuplicates, exact_duplicates, near_duplicates
from luthier.data.ragged import Hashes, Numbers, Ragged
from luthier.data.sketch import sketch
from luthier.text import jaccard, ngrams

Planted = list[tuple[int, int]]


def likeness(one: str, other: str) -> float:
    return jaccard(ngrams(one.split(), 5), ngrams(other.split(), 5))


class InMemory:
    """Sketches of a few keys."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._sketch = sketch(keys)

    @property
    def word_counts(self) -> npt.NDArray[np.int32]:
        return self._sketch.words.lengths.astype(np.int32)

    def band(self, number: int) -> Hashes:
        return self._sketch.bands[:, number]

    def words(self, rows: Numbers) -> Ragged:
        return self._sketch.words.take(rows)


def find(keys: Sequence[str], threshold: float | None = 0.8, dropped: Collection[int] = ()) -> NearDuplicates:
    present = np.ones(len(keys), np.bool_)
    eligible = present.copy()
    eligible[list(dropped)] = False
    return near_duplicates(InMemory(keys), eligible, present, threshold)


def planted_texts(seed: int) -> tuple[list[str], Planted]:
    """Random texts of 40 to 120 words, some followed much later by a copy with one to three words changed."""
    draw = random.Random(seed)
    vocabulary = [f"word{number}" for number in range(3_000)]
    originals = [draw.choices(vocabulary, k=draw.randint(40, 120)) for _ in range(300)]
    texts, pairs = [" ".join(words) for words in originals], Planted()
    for source in draw.sample(range(300), 150):
        copy = list(originals[source])
        for place in draw.sample(range(len(copy)), draw.randint(1, 3)):
            copy[place] = f"changed{len(texts)}"
        pairs.append((source, len(texts)))
        texts.append(" ".join(copy))
    return texts, pairs


def test_planted_near_duplicates_are_found_and_nothing_else() -> None:
    texts, pairs = planted_texts(seed=1)
    alike = {row for source, row in pairs if likeness(texts[source], texts[row]) >= 0.8}
    assert 50 < len(alike) < 150, "the plan should hold pairs on both sides of the threshold"
    found = find(texts).matches
    assert len(alike & found.keys()) >= 0.95 * len(alike)
    assert found.keys() <= alike
    for row, match in found.items():
        assert match.likeness == likeness(texts[match.row], texts[row]) >= 0.8


def test_a_row_is_dropped_only_for_one_that_is_kept() -> None:
    words = [f"w{number}" for number in range(60)]
    chain = [" ".join([*words[: 60 - step], *(f"x{number}" for number in range(step))]) for step in range(0, 60, 3)]
    matches = find(chain).matches
    kept = set(range(len(chain))) - matches.keys()
    assert matches
    assert {match.row for match in matches.values()} <= kept
    assert all(likeness(chain[one], chain[other]) < 0.8 for one in kept for other in kept if one < other)


def test_a_dropped_row_is_no_original_but_may_be_a_copy() -> None:
    words = " ".join(f"w{number}" for number in range(50))
    texts = [words, words + " more", words + " else"]
    found = find(texts, dropped=[0])
    assert {row: match.row for row, match in found.matches.items()} == {2: 1}
    found = find(texts, dropped=[1])
    assert {row: match.row for row, match in found.matches.items()} == {1: 0, 2: 0}


def test_short_texts_are_compared_by_their_words() -> None:
    found = find(["where is my order", "my order is where", "where is my chair"])
    assert {row: (match.row, match.likeness) for row, match in found.matches.items()} == {1: (0, 1.0)}


@pytest.mark.parametrize("threshold", [None, 0.95])
def test_rows_that_are_kept_though_alike_are_siblings(threshold: float | None) -> None:
    words = " ".join(f"w{number}" for number in range(30))
    found = find([words + " one two", words + " one three", "some other text of six words"], threshold)
    assert found.matches == {}
    assert found.siblings == [(0, 1)]


def test_exact_duplicates_point_to_the_first_that_counts() -> None:
    hashes = np.array([7, 5, 7, 7, 5, 9], np.uint64)
    present = np.array([True, True, True, True, True, True])
    eligible = np.array([False, True, True, True, True, True])
    assert exact_duplicates(hashes, eligible, present) == {3: 2, 4: 1}


def test_rows_that_are_not_there_take_no_part() -> None:
    hashes = np.zeros(3, np.uint64)
    nothing = np.zeros(3, np.bool_)
    assert exact_duplicates(hashes, nothing, nothing) == {}


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=9), min_size=1, max_size=25))
def test_what_is_kept_and_what_goes_is_confirmed(texts: list[list[str]]) -> None:
    keys = [" ".join(text) for text in texts]
    for threshold in (0.3, 0.8):
        matches = find(keys, threshold).matches
        for row, match in matches.items():
            assert match.row < row
            assert match.row not in matches
            assert match.likeness >= threshold
            assert match.likeness == pytest.approx(likeness(keys[match.row], keys[row]))


def test_many_rows_alike_take_few_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    compare = dedupe.jaccard_likenesses

    def count(one: Ragged, other: Ragged) -> npt.NDArray[np.float64]:
        nonlocal compared
        compared += len(one.lengths)
        return compare(one, other)

    monkeypatch.setattr(dedupe, "jaccard_likenesses", count)
    words = [f"w{number}" for number in range(40)]
    keys = [" ".join([*words, f"x{number}"]) for number in range(3_000)]
    assert len(find(keys).matches) == 2_999
    assert compared < 3 * len(keys)


def test_chunks_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, _ = planted_texts(seed=2)
    whole = find(texts)
    monkeypatch.setattr(dedupe, "_CHUNK_WORDS", 300)
    assert find(texts) == whole
