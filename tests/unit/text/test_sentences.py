"""Sentences end where readers stop, and put together they are the text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.text.sentences import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("One. Two! Three? Four", ["One. ", "Two! ", "Three? ", "Four"]),
        ("Really?! Yes… Fine.", ["Really?! ", "Yes… ", "Fine."]),
        ('He said "no." Then he left.', ['He said "no." ', "Then he left."]),
        ("Dear Ann,\n\nIt is here.\nBye", ["Dear Ann,\n\n", "It is here.\n", "Bye"]),
        ("It costs 3.50 or 4. That is all.", ["It costs 3.50 or 4. ", "That is all."]),
        ("Ask Mr. Smith or J. Smith, e.g. Today.", ["Ask Mr. Smith or J. Smith, e.g. Today."]),
        ("No. We sell order no. 7. Yes", ["No. ", "We sell order no. 7. ", "Yes"]),
        ("1. Press it.\n2. Wait.", ["1. Press it.\n", "2. Wait."]),
        ("- 1. Press it. Then wait.", ["- 1. Press it. ", "Then wait."]),
        ("Well... maybe so. Or not", ["Well... maybe so. ", "Or not"]),
        ("See shop.example for more. Bye", ["See shop.example for more. ", "Bye"]),
        ("你好。再见！好", ["你好。", "再见！", "好"]),
        ("Das ist z.B. Holz. Gut.", ["Das ist z.B. Holz. ", "Gut."]),
        ("\n\nHello.", ["\n\n", "Hello."]),
    ],
)
def test_where_sentences_end(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(st.text(alphabet="aB1.!?…\n \t\"')。-", max_size=60))
def test_nothing_is_lost(text: str) -> None:
    parts = sentences(text)
    assert "".join(parts) == text
    assert all(parts)
    assert all(part.strip() for part in parts[1:])
