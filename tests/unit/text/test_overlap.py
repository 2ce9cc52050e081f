from hypothesis import given
from hypothesis import strategies as st

from luthier.text import jaccard, ngrams, words

sets = st.frozensets(st.integers(0, 20))


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("Don’t SHOUT, e-mail us: order_7!") == ["don't", "shout", "e", "mail", "us", "order", "7"]


def test_scripts_without_spaces_count_characters() -> None:
    assert words("注文はABC") == ["注", "文", "は", "abc"]


def test_ngrams_of_short_texts_are_their_words() -> None:
    assert ngrams(["a", "b", "c"], 2) == {("a", "b"), ("b", "c")}
    assert ngrams(["a", "b"], 5) == {("a",), ("b",)}


def test_jaccard_of_known_sets() -> None:
    assert jaccard({1, 2, 3}, {2, 3, 4}) == 0.5
    assert jaccard(set(), set()) == 1.0
    assert jaccard({1}, set()) == 0.0


@given(sets, sets)
def test_jaccard_is_symmetric_and_bounded(one: frozenset[int], other: frozenset[int]) -> None:
    assert jaccard(one, other) == jaccard(other, one)
    assert 0 <= jaccard(one, other) <= 1
    assert (jaccard(one, other) == 1) == (one == other)
