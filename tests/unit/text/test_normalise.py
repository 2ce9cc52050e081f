import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text import normalise


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


@given(st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from("Ã¼â€™&amp;lt \n\t\u200d\u00a0<>;#x"))))
def test_is_idempotent_and_composed(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert unicodedata.is_normalized("NFC", once)
    assert once == once.strip()
