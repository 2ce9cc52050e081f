"""Numbers as people write them: in words, with points and commas either way round."""

import re
from decimal import Decimal

_ONES = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16,
    "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_ONE = "|".join(sorted(_ONES, key=len, reverse=True))
_BELOW_HUNDRED = rf"(?:(?:{'|'.join(_TENS)})(?:[ -](?:{_ONE}))?|(?:{_ONE}))"
_BELOW_THOUSAND = rf"(?:(?:(?:{_ONE}|a) hundred)(?: (?:and )?{_BELOW_HUNDRED})?|{_BELOW_HUNDRED})"
_NUMBER_WORDS = re.compile(
    rf"\b(?:(?:{_BELOW_THOUSAND}|a) thousand(?: (?:and )?{_BELOW_THOUSAND})?|{_BELOW_THOUSAND})\b"
)

NUMBER = r"(?<![\w])(?<!\d[.,])(?:\d{1,3}(?:[ ,.']\d{3})+(?:[.,]\d{1,2})?|\d{1,12}(?:[.,]\d{1,6})?)(?!\d)"
"""Regular expression of a number in digits (up to 12) that does not begin inside another number or a word."""


def words_to_digits(text: str) -> str:
    """`twenty-one days` -> `21 days`, `two hundred and fifty` -> `250`; `text` in lower case."""
    return _NUMBER_WORDS.sub(lambda match: str(_value_of_words(match.group())), text)


def parse_number(text: str) -> Decimal:
    """The value of what `NUMBER` matches: `1,290`, `1.290,00` and `1 290` are 1290; `6,50` is 6.5.

    A point or comma before exactly three digits separates thousands, unless only a zero stands before it.
    """
    digits = re.sub(r"[ ']", "", text)
    separators = sorted({character for character in digits if character in ".,"}, key=digits.rfind)
    if len(separators) == 2:
        digits = digits.replace(separators[0], "").replace(separators[1], ".")
    elif separators:
        first, *groups = digits.split(separators[0])
        thousands = first.strip("0") != "" and all(len(group) == 3 for group in groups)
        digits = digits.replace(separators[0], "" if thousands else ".")
    return Decimal(digits)


def plain_number(value: Decimal) -> str:
    """The shortest plain spelling: `6.5`, `1290`."""
    return f"{value.normalize():f}"


def _value_of_words(words: str) -> int:
    total = current = 0
    for word in re.split(r"[ -]", words):
        if word == "thousand":
            total, current = max(current, 1) * 1000, 0
        elif word == "hundred":
            current = max(current, 1) * 100
        elif word not in ("a", "and"):
            current += _ONES[word] if word in _ONES else _TENS[word]
    return total + current
