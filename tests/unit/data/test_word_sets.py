"""Pairs of alike word sets, against all pairs compared one by one."""

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.data import word_sets
from luthier.data.ragged import Ragged, offsets_of
from luthier.data.word_sets import CrossMatches, JoinedSets, find_alike
from luthier.text import jaccard

NONE = np.empty(0, np.int64)
WordSets = Sequence[frozenset[int]]
small_sets = st.lists(st.frozensets(st.integers(0, 11), max_size=9), max_size=14)


def hashed(sets: WordSets) -> Ragged:
    """Word n as the n-th draw of a generator, as hashes look."""
    table = np.random.default_rng(1).integers(0, 1 << 32, 1_000, dtype=np.uint32)
    values = [np.sort(table[sorted(words)]) for words in sets]
    lengths = np.array([len(words) for words in sets], np.int64)
    return Ragged(np.concatenate([np.empty(0, np.uint32), *values]), offsets_of(lengths))


def alike_by_hand(sets: WordSets) -> set[tuple[int, int]]:
    pairs = combinations(range(len(sets)), 2)
    return {(i, j) for i, j in pairs if sets[i] and sets[j] and jaccard(sets[i], sets[j]) >= 0.8}


def components_by_hand(sets: WordSets) -> list[int]:
    labels = list(range(len(sets)))
    for one, other in alike_by_hand(sets):
        old, new = max(labels[one], labels[other]), min(labels[one], labels[other])
        labels = [new if label == old else label for label in labels]
    return labels


def joined(sets: WordSets) -> list[int]:
    judge = JoinedSets.of(len(sets), NONE, NONE)
    assert find_alike(hashed(sets), judge)
    labels: list[int] = judge.labels.tolist()
    return labels


def drawn_sets(seed: int, vocabulary: int, longest: int) -> list[frozenset[int]]:
    """Sets at random, with what remains of each after words are taken out of it or put into it."""
    draw = random.Random(seed)
    sets = [frozenset(draw.choices(range(vocabulary), k=draw.randint(0, longest))) for _ in range(40)]
    cut = [frozenset(draw.sample(sorted(words), round(len(words) * draw.uniform(0.75, 1)))) for words in sets]
    grown = [words | frozenset(draw.choices(range(vocabulary), k=round(len(words) * 0.2))) for words in sets]
    return sets + cut + grown


@given(small_sets)
def test_every_pair_of_small_sets_is_found(sets: WordSets) -> None:
    assert joined(sets) == components_by_hand(sets)


@pytest.mark.parametrize(("vocabulary", "longest"), [(5, 4), (60, 30), (400, 90), (900, 400)])
@pytest.mark.parametrize("seed", range(4))
def test_every_pair_is_found_whatever_the_size(seed: int, vocabulary: int, longest: int) -> None:
    sets = drawn_sets(seed, vocabulary, longest)
    assert joined(sets) == components_by_hand(sets)


@pytest.mark.parametrize("name", ["_SIGNATURES", "_PAIRS", "_COMPARED_WORDS"])
def test_the_result_does_not_depend_on_how_the_work_is_cut(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = drawn_sets(9, 200, 60)
    monkeypatch.setattr(word_sets, name, 100)
    assert joined(sets) == components_by_hand(sets)


def test_few_sets_are_all_compared_where_their_words_tell_little(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(0)
    sets = [frozenset(draw.sample(range(24), 12)) for _ in range(120)]
    monkeypatch.setattr(word_sets, "_BUDGET", 120 * 120)
    assert joined(sets) == components_by_hand(sets)


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = [frozenset(random.Random(seed).sample(range(24), 12)) for seed in range(120)]
    monkeypatch.setattr(word_sets, "_BUDGET", 10)
    assert not find_alike(hashed(sets), JoinedSets.of(len(sets), NONE, NONE))


def test_what_is_joined_from_the_start_stays() -> None:
    sets = [frozenset({1}), frozenset({2}), frozenset({3}), frozenset({3})]
    judge = JoinedSets.of(4, np.array([0, 1]), np.array([1, 2]))
    assert judge.labels.tolist() == [0, 0, 0, 3]
    find_alike(hashed(sets), judge)
    assert judge.labels.tolist() == [0, 0, 0, 0]


@given(small_sets, st.randoms(use_true_random=False))
def test_partners_of_other_labels_are_found(sets: WordSets, draw: random.Random) -> None:
    labels = np.array([draw.randint(0, 2) for _ in sets], np.int64)
    judge = CrossMatches.between(labels)
    find_alike(hashed(sets), judge)
    alike = alike_by_hand(sets) | {(other, one) for one, other in alike_by_hand(sets)}
    for place, partners in enumerate(judge.partners.tolist()):
        for label, partner in enumerate(partners):
            possible = {other for one, other in alike if one == place and labels[other] == label != labels[place]}
            assert partner in possible if possible else partner == -1


def test_rows_without_words_are_like_no_other() -> None:
    assert joined([frozenset(), frozenset(), frozenset({1})]) == [0, 1, 2]
