"""Phone numbers: a cheap look at how a run of digits is written and introduced, before phonenumbers is asked."""

import re
from collections.abc import Iterator

import phonenumbers

from luthier.text.personal.context import words_before
from luthier.text.personal.references import reference_before

_FEWEST_DIGITS, _MOST_DIGITS = 7, 17
_TERMS = frozenset(
    [
        "phone", "phones", "telephone", "tel", "call", "calling", "ring", "dial", "mobile", "cell", "cellphone",
        "landline", "hotline", "whatsapp", "fax", "sms", "text", "telefon", "telefonnummer", "handy", "handynummer",
        "mobil", "mobilnummer", "rufnummer", "festnetz", "anrufen", "rufen", "erreichbar", "téléphone", "tél",
        "portable", "fixe", "appelez", "appeler", "joindre", "joignable", "teléfono", "móvil", "llámame", "llamar",
        "llámenme", "celular", "telefono", "cellulare", "chiamatemi", "chiamare", "telefoon", "mobiel", "bel",
        "bellen", "telefone", "fone", "ligue",
    ]
)  # fmt: skip
_TERM_REACH = 34
_NO_PHONE = re.compile(
    r"(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4})(?!\d).*"  # a date
    r"|\(?(?:1[5-9]|20)\d\d\s?[-–/]\s?(?:1[5-9]|20)\d\d\)?"  # a span of years
    r"|\d+[.,]\d+",  # a decimal
    re.DOTALL,
)
_FIVE_PAIRS = re.compile(r"0[1-9](?:([.-])\d\d)(?:\1\d\d){3}")
"""How numbers are written in France and Belgium; the first three pairs may look like a date."""
_THOUSANDS = re.compile(r"[1-9]\d{0,2}([ .])\d{3}(?:\1\d{3})+")
_WRITTEN_LIKE_PHONE = re.compile(r"0[1-9]\d*[ ()./-]|\(0|\(\d{3}\) ?\d{3}[-. ]\d{4}$")
"""For numbers that no plan lists, such as those reserved for films: a trunk prefix and groups, or (555) 555-0123."""
_BEFORE_NO_PHONE = re.compile(r"(?:[#£$€¥_/*=]|\w-?)\Z")


def phone_regions() -> frozenset[str]:
    """Countries whose numbers can be told without a country code, by their ISO 3166 codes."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def phones_in(text: str, groups: list[tuple[int, int]], region: str) -> Iterator[tuple[int, int]]:
    """Spans of phone numbers in neighbouring groups of digits; `region` (ISO 3166) where there is no country code."""
    introduced = False
    for part in _parts(text, groups):
        introduced = introduced or not _TERMS.isdisjoint(words_before(text, part[0][0], _TERM_REACH))
        for trimmed in (part, part[:-1] if _digits(part[-1:]) <= 2 else [], part[1:] if _digits(part[:1]) <= 2 else []):
            if trimmed and (span := _phone(text, trimmed, region, introduced)):
                yield span
                break


def is_introduced(text: str, start: int) -> bool:
    """Whether a word such as "call" stands before it."""
    return not _TERMS.isdisjoint(words_before(text, start, _TERM_REACH))


def _parts(text: str, groups: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Two numbers may stand side by side: a plus or, after a full number, a nought begins the next."""
    part: list[tuple[int, int]] = []
    held, left = 0, _digits(groups)
    for start, end in groups:
        begins = text[start - 1 : start] in ("+", "(") and text[start - 2 : start - 1] == " "
        if part and ((text[start - 1] == "+") or (held >= 9 and left >= 9 and (begins or text[start] == "0"))):
            yield part
            part, held = [], 0
        held, left = held + end - start, left - (end - start)
        part.append((start, end))
    yield part


def _digits(groups: list[tuple[int, int]]) -> int:
    return sum(end - start for start, end in groups)


def _phone(text: str, groups: list[tuple[int, int]], region: str, introduced: bool) -> tuple[int, int] | None:
    if not _FEWEST_DIGITS <= _digits(groups) <= _MOST_DIGITS:
        return None
    start, end = groups[0][0], groups[-1][1]
    while start and text[start - 1] in "+(":
        start -= 1
    raw = text[start:end]
    if "(" in raw and raw.startswith("(") and ")" not in raw:
        start, raw = start + 1, raw[1:]
    before = text[max(0, start - 2) : start]
    if (_NO_PHONE.fullmatch(raw) and not _FIVE_PAIRS.fullmatch(raw)) or text[end : end + 1].isalpha():
        return None
    named = reference_before(text, start) is not None
    if named and raw.isdigit() and not raw.startswith("0"):
        return None  # "call me about order 5512998": the nearer word decides
    if not introduced and (named or _is_amount_or_short(raw) or _BEFORE_NO_PHONE.search(before)):
        return None
    return (start, end) if _is_phone(raw, region, introduced) else None


def _is_amount_or_short(raw: str) -> bool:
    return sum(map(str.isdigit, raw)) <= _FEWEST_DIGITS or _THOUSANDS.fullmatch(raw) is not None


def _is_phone(raw: str, region: str, introduced: bool) -> bool:
    """Judge by how it is written; phonenumbers costs fifty microseconds and is asked last."""
    bare = raw.strip("()").isdigit()
    if bare and not introduced and not raw.lstrip("(").startswith("0"):
        return False
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_possible_number(number):
        return introduced and not bare and _WRITTEN_LIKE_PHONE.match(raw) is not None
    if introduced or raw.startswith(("+", "(+")):
        return True
    valid: bool = phonenumbers.is_valid_number(number)
    return valid or (not bare and _WRITTEN_LIKE_PHONE.match(raw) is not None)
