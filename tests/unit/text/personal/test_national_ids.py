"""Numbers of each scheme are found where shape, check digit and the words near them agree."""

import re

import pytest

from luthier.text.personal.national_ids import is_identity_number, lettered_in, numbers_in


def found(text: str, blocked: bool = False) -> list[str]:
    groups = [number.span() for number in re.finditer("[0-9]+", text)]
    spans = [*numbers_in(text, groups, blocked), *lettered_in(text, 0, len(text))]
    return [text[slice(*span)] for span in spans]


ALONE = [
    ("078-05-1120", "078-05-0000"),
    ("86 095 742 719", "86 095 742 718"),
    ("2 55 08 14 168 025 38", "2 55 08 14 168 025 39"),
    ("44051401359", "44051401358"),
    ("811228-9874", "811228-9875"),
    ("01010012356", "01010012357"),
    ("529.982.247-25", "529.982.247-26"),
    ("2341 2341 2346", "2341 2341 2347"),
    ("85.07.30-033.28", "85.07.30-033.29"),
    ("756.9217.0769.85", "756.9217.0769.86"),
    ("12.345.678-5", "12.345.678-4"),
    ("8001015009087", "8001015009088"),
    ("11010519491231002X", "11010519491232002X"),
    ("131052-308T", "131052-308U"),
    ("12345678Z", "12345678A"),
    ("12.345.678-Z", "12.345.678-T"),
    ("X1234567L", "X1234567M"),
    ("RSSMRA80A01H501U", "RSSMRA80A01H501V"),
    ("HEGG560427MVZRRL04", "HEGG560427MVZRRL05"),
    ("15070649C103", "15070649C104"),
    ("AB 12 34 56 C", "BG 12 34 56 C"),
    ("1234567T", "1234567U"),
]
"""A number that is right, and one that is not by a digit or letter."""

NEAR = [
    ("NHS number", "943 476 5919", "943 476 5918"),
    ("BSN", "111222333", "111222334"),
    ("TFN", "123 456 782", "123 456 783"),
    ("NIF", "123456789", "123456780"),
    ("SVNR", "1237 010180", "1238 010180"),
    ("SIN", "046 454 286", "046 454 287"),
    ("ITIN", "912-70-1234", "912-10-1234"),
    ("CPR", "010190-1234", "320190-1234"),
    ("RRN", "900101-1234567", "901301-1234567"),
]
"""With the word that must stand near them."""


@pytest.mark.parametrize(("number", "wrong"), ALONE)
def test_the_check_decides(number: str, wrong: str) -> None:
    word = "ppsn " if number.startswith("1234567T") else ""
    assert number in found(f"it is {word}{number}, thanks")
    assert found(f"it is {word}{wrong}, thanks") == []
    assert is_identity_number(number)


@pytest.mark.parametrize(("word", "number", "wrong"), NEAR)
def test_some_need_their_word(word: str, number: str, wrong: str) -> None:
    assert found(f"my {word}: {number}") == [number]
    assert found(f"my {word}: {wrong}") == []
    assert found(f"I paid {number}") == []
    assert found(f"{number} is my {word.lower()}") == [number]


def test_what_is_blocked_needs_its_word_too() -> None:
    assert found("it is 44051401359", blocked=True) == []
    assert found("PESEL 44051401359", blocked=True) == ["44051401359"]


@pytest.mark.parametrize("text", ["x44051401359", "44051401359-1", "/44051401359", "€44051401359", "44051401359b"])
def test_a_part_of_something_longer_is_no_number(text: str) -> None:
    assert found(text) == []


def test_small_letters_are_no_insurance_number() -> None:
    assert found("ab 12 34 56 c") == []
    assert found("my NI number: ab 12 34 56 c") == ["ab 12 34 56 c"]


@pytest.mark.parametrize("text", ["", "hello", "12", "2025-02-03", "Ann"])
def test_other_texts_are_no_identity_number(text: str) -> None:
    assert not is_identity_number(text)
    assert found(text) == []
