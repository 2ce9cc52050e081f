import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text import normalise
from luthier.text.normalise import _PLAIN, _is_tidy, _normalise_once

SOME = "aZ .,\n \t&’”“–…€£éàâÂÃÐœŒšž°©😀👍√±‚\u00a0\u0301\ufe0f\u200d"


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Iâ€™ve paid â‚¬40 for schÃ¶ne StÃ¼hle", "I’ve paid €40 for schöne Stühle"),
        ("Tom &amp; Ann&nbsp;said", "Tom & Ann said"),
        ("zero\u200bwidth and so\u00adft", "zerowidth and soft"),
        ("one\r\ntwo\rthree\u2028four", "one\ntwo\nthree\nfour"),
        ("  a \t b\u00a0\u00a0c  ", "a b c"),
        ("first\n\n\n\n  \nsecond", "first\n\nsecond"),
        ("bell\x07 and \x1b[31mred\x1b[0m", "bell and red"),
        ("cafe\u0301", "café"),
    ],
)
def test_mends(raw: str, clean: str) -> None:
    assert normalise(raw) == clean


def test_keeps_paragraphs_indentation_and_curly_quotes() -> None:
    text = "“Try” this:\n\n    if x:\n        y()"
    assert normalise(text) == text


def test_joiners_stay_where_they_join() -> None:
    assert normalise("👩\u200d🔧 and plain\u200d") == "👩\u200d🔧 and plain"


@given(st.text(st.one_of(st.sampled_from(SOME), st.sampled_from(_PLAIN), st.characters(codec="ascii")), max_size=12))
def test_what_looks_tidy_needs_no_mending(text: str) -> None:
    if _is_tidy(text):
        assert _normalise_once(text) == text.strip()


@pytest.mark.parametrize("around", ["a{}b", "a {} b", "A{} b", "{} b", "b {}", "a{}.", "1{}2", "É{} b", "a {}”"])
def test_every_plain_character_needs_no_mending(around: str) -> None:
    for character in (*_PLAIN.replace("-", ""), "😀"):
        text = around.format(character)
        assert not _is_tidy(text) or _normalise_once(text) == text.strip()
        assert _is_tidy(f"a {character}b c"), character


@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("Ã¼â€™&amp;lt \n\t\u200d\u00a0<>;#x"))))
def test_is_idempotent_and_composed(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip()
