import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.recipe import SplitSection
from luthier.core.rows import Split
from luthier.data.split import SplitRow, assign_components, split_rows, word_set_links
from luthier.text import jaccard

word_sets = st.lists(st.frozensets(st.sampled_from("abcdefghijkl"), max_size=9), max_size=12)


def distinct_rows(count: int) -> list[SplitRow]:
    return [SplitRow(f"row-{number}", (), frozenset({f"a{number}", f"b{number}"})) for number in range(count)]


def test_shares_are_met() -> None:
    splits = split_rows(distinct_rows(200), [], SplitSection(validation=0.1, test=0.2))
    assert Counter(splits) == {"train": 140, "validation": 20, "test": 40}


def test_no_sibling_straddles() -> None:
    rows = [
        SplitRow(f"row-{n}", (f"customer_id={n // 10}",), frozenset({f"a{n}", *(f"p{n // 5}.{k}" for k in range(9))}))
        for n in range(200)
    ]
    links = [(place, place + 100) for place in range(0, 100, 25)]
    splits = split_rows(rows, links, SplitSection())
    assert all(splits[one] == splits[other] for one, other in links)
    for one, first in enumerate(rows):
        for other, second in enumerate(rows[:one]):
            if set(first.groups) & set(second.groups) or jaccard(first.words, second.words) >= 0.8:
                assert splits[one] == splits[other]
    assert len(set(splits)) > 1


def test_the_same_value_in_another_field_joins_nothing() -> None:
    rows = [SplitRow(f"row-{n}", (("a=" if n % 2 else "b=") + "1",), frozenset({f"w{n}"})) for n in range(40)]
    splits = split_rows(rows, [], SplitSection(validation=0.0, test=0.5))
    assert Counter(splits) == {"train": 20, "test": 20}
    assert len({splits[n] for n in range(0, 40, 2)}) == 1


def test_the_seed_decides_and_the_order_does_not() -> None:
    rows = distinct_rows(50)
    first = dict(zip((row.id for row in rows), split_rows(rows, [], SplitSection(seed=1)), strict=True))
    turned = rows[::-1]
    again = dict(zip((row.id for row in turned), split_rows(turned, [], SplitSection(seed=1)), strict=True))
    other = dict(zip((row.id for row in rows), split_rows(rows, [], SplitSection(seed=2)), strict=True))
    assert first == again
    assert first != other


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
    for split, size in zip(assign_components(sizes, shares), sizes, strict=True):
        rows[split] += size
    assert rows == counts


@given(st.lists(st.integers(1, 30), min_size=10, max_size=60), st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_every_split_gets_rows_and_training_too(sizes: list[int], test: float, validation: float) -> None:
    assert set(assign_components(sizes, {"test": test, "validation": validation})) == {"train", "test", "validation"}


def linked_by_hand(sets: Sequence[frozenset[str]]) -> set[tuple[int, int]]:
    """Pairs at least 0.8 alike, identical sets standing for the first of them."""
    first_of: dict[frozenset[str], int] = {}
    for place, words in enumerate(sets):
        first_of.setdefault(words, place)
    firsts = sorted(place for words, place in first_of.items() if words)
    alike = {(one, other) for one, other in combinations(firsts, 2) if jaccard(sets[one], sets[other]) >= 0.8}
    same = {(first_of[words], place) for place, words in enumerate(sets) if words and first_of[words] != place}
    return alike | same


@given(word_sets)
def test_every_pair_of_small_sets_is_found(sets: list[frozenset[str]]) -> None:
    assert {(min(pair), max(pair)) for pair in word_set_links(sets)} == linked_by_hand(sets)


def test_every_pair_of_large_sets_is_found() -> None:
    draw = random.Random(3)
    sets = [frozenset(draw.choices(range(60), k=draw.randint(5, 50))) for _ in range(60)]
    sets += [frozenset(draw.sample(sorted(words), round(len(words) * 0.85))) for words in sets]
    named = [frozenset(f"w{number}" for number in numbers) for numbers in sets]
    found = {(min(pair), max(pair)) for pair in word_set_links(named)}
    assert found == linked_by_hand(named)
    assert len(found) > 50
