import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text import count_words, jaccard, ngrams, overlap, spaced_words, words

sets = st.frozensets(st.integers(0, 20))


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("Don’t SHOUT, e-mail us: order_7!") == ["don't", "shout", "e", "mail", "us", "order", "7"]


def test_scripts_without_spaces_count_characters() -> None:
    assert words("注文はABC") == ["注", "文", "は", "abc"]


WESTERN = st.text(st.sampled_from("aZ0'’_. -\n\x85\xa0éßªÿ²½€“ŠžıſK"), max_size=12)
ANY = st.text(st.one_of(st.characters(), st.sampled_from("' ’aA")), max_size=12)


@given(st.one_of(WESTERN, ANY))
def test_the_way_by_bytes_gives_the_same_words(text: str) -> None:
    plain = overlap._WORD.findall(text.casefold().replace("’", "'"))
    assert words(text) == plain
    assert spaced_words(text) == " ".join(plain)
    assert count_words(text) == len(plain)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_every_western_character_is_told_alike(encoding: str) -> None:
    characters = [bytes([byte]).decode(encoding, errors="ignore") for byte in range(256)]
    for character in filter(None, characters):
        for text in (character, f"a{character}b", f"'{character}'"):
            assert words(text) == overlap._WORD.findall(text.casefold().replace("’", "'"))


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
