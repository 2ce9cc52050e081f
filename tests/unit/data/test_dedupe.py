import random
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from luthier.data.dedupe import (
    NearDuplicates,
    band_hashes,
    comparison_key,
    exact_duplicates,
    near_duplicates,
    shingle_text,
)
from luthier.data.engine import daft
from luthier.text import jaccard, ngrams

Planted = list[tuple[int, int]]


def likeness(one: str, other: str) -> float:
    return jaccard(ngrams(one.split(), 5), ngrams(other.split(), 5))


def find(folder: Path, keys: list[str], threshold: float | None = 0.8, dropped: Collection[int] = ()) -> NearDuplicates:
    frame = daft.from_pydict({"shingles": [shingle_text(key) for key in keys]})
    path = folder / "bands.parquet"
    pq.write_table(frame.select(band_hashes(daft.col("shingles"))).to_arrow(), path)
    present = np.ones(len(keys), np.bool_)
    eligible = present.copy()
    eligible[list(dropped)] = False
    return near_duplicates(path, lambda rows: {row: keys[row] for row in rows}, eligible, present, threshold)


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


def test_planted_near_duplicates_are_found_and_nothing_else(tmp_path: Path) -> None:
    texts, pairs = planted_texts(seed=1)
    alike = {row for source, row in pairs if likeness(texts[source], texts[row]) >= 0.8}
    assert 50 < len(alike) < 150, "the plan should hold pairs on both sides of the threshold"
    found = find(tmp_path, texts).matches
    assert len(alike & found.keys()) >= 0.95 * len(alike)
    assert found.keys() <= alike
    for row, match in found.items():
        assert match.likeness == likeness(texts[match.row], texts[row]) >= 0.8


def test_a_row_is_dropped_only_for_one_that_is_kept(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(60)]
    chain = [" ".join([*words[: 60 - step], *(f"x{number}" for number in range(step))]) for step in range(0, 60, 3)]
    matches = find(tmp_path, chain).matches
    kept = set(range(len(chain))) - matches.keys()
    assert matches
    assert {match.row for match in matches.values()} <= kept
    assert all(likeness(chain[one], chain[other]) < 0.8 for one in kept for other in kept if one < other)


def test_a_dropped_row_is_no_original_but_may_be_a_copy(tmp_path: Path) -> None:
    words = " ".join(f"w{number}" for number in range(50))
    texts = [words, words + " more", words + " else"]
    found = find(tmp_path, texts, dropped=[0])
    assert {row: match.row for row, match in found.matches.items()} == {2: 1}
    found = find(tmp_path, texts, dropped=[1])
    assert {row: match.row for row, match in found.matches.items()} == {1: 0, 2: 0}


def test_short_texts_are_compared_by_their_words(tmp_path: Path) -> None:
    found = find(tmp_path, ["where is my order", "my order is where", "where is my chair"])
    assert {row: (match.row, match.likeness) for row, match in found.matches.items()} == {1: (0, 1.0)}


@pytest.mark.parametrize("threshold", [None, 0.95])
def test_rows_that_are_kept_though_alike_are_siblings(tmp_path: Path, threshold: float | None) -> None:
    words = " ".join(f"w{number}" for number in range(30))
    found = find(tmp_path, [words + " one two", words + " one three", "some other text of six words"], threshold)
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


def test_keys_ignore_case_punctuation_and_space() -> None:
    assert comparison_key("Hello,  WORLD!") == comparison_key("hello world")
    assert comparison_key("👍") == "👍"
