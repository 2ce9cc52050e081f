from decimal import Decimal

import pytest

from luthier.text.numerals import parse_number, plain_number, words_to_digits


@pytest.mark.parametrize(
    ("words", "digits"),
    [
        ("twenty-one days", "21 days"),
        ("two hundred and fifty", "250"),
        ("a hundred and one", "101"),
        ("one thousand two hundred and ninety", "1290"),
        ("a thousand", "1000"),
        ("between four and six", "between 4 and 6"),
        ("someone has a tenth", "someone has a tenth"),
        ("ninety", "90"),
    ],
)
def test_words_to_digits(words, digits):
    assert words_to_digits(words) == digits


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,290", "1290"),
        ("1.290,00", "1290"),
        ("1 290", "1290"),
        ("1'290", "1290"),
        ("6,50", "6.5"),
        ("6.5", "6.5"),
        ("0.125", "0.125"),
        ("1,234,567.89", "1234567.89"),
    ],
)
def test_parse_number(text, value):
    assert parse_number(text) == Decimal(value)


def test_plain_number_has_no_exponent_and_no_spare_zeros():
    assert [plain_number(Decimal(text)) for text in ("1E+3", "6.50", "0.0")] == ["1000", "6.5", "0"]
