"""Masking of personal data: e-mail addresses, phone numbers, payment cards."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import phonenumbers
from phonenumbers import Leniency, PhoneNumberMatch, PhoneNumberMatcher

_EMAIL = re.compile(r"(?<![\w.+%-])[\w.+%'-]*[\w+%-]@(?:[\w-]+\.)+[^\W\d_]{2,}")
_CARD = re.compile(r"(?<![\w#.])\d(?:[ -]?\d){12,18}(?![\w])")
_DIGIT_RUN = re.compile(r"[+(]{0,2}\d(?:[^\w\n]{0,3}\d){6,}")
"""Seven digits or more with at most punctuation between them: phone and card numbers are looked for in these alone."""
_URL = re.compile(r"\b(?:https?://|www\.)[^\s<>\"]+", re.IGNORECASE)
_NO_PHONE = re.compile(
    r"(?:\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{2,4})(?!\d).*"  # a date
    r"|\(?(?:1[5-9]|20)\d\d\s?[-–/]\s?(?:1[5-9]|20)\d\d\)?"  # a span of years
    r"|\d+[.,]\d+",  # a decimal
    re.DOTALL,
)
_CALCULATION = re.compile(r"\d\)?\s+[-–]\s+\(?\d")
_WRITTEN_LIKE_PHONE = re.compile(r"0[1-9]\d*[ ()./-]|\(0|\(\d{3}\) ?\d{3}[-. ]\d{4}$")
"""For numbers that no plan lists, such as those reserved for films: a trunk prefix and groups, or (555) 555-0123."""
_REFERENCE_BEFORE = re.compile(
    r"(?:[#£$€¥_/=*]|\w-?|\b(?:order|purchase|invoice|ticket|tracking|parcel|shipment|reference|ref|booking|case|item"
    r"|product|article|account|customer|serial|sku|model|id|ean|isbn|version)s?\b[\s\"':=#.]*"
    r"(?:(?:id|ids|no|nr|num|number|code|is|was)\b[\s\"':=#.]*){0,3})$",
    re.IGNORECASE,
)
_PHONE_BEFORE = re.compile(
    r"\b(?:phone|telephone|tel|call|calling|ring|dial|mobile|cell|landline|hotline|whatsapp|fax|sms|text)\b[^\d\n]{0,24}$",
    re.IGNORECASE,
)
_CONTEXT = 48
_FEWEST_DIGITS = 7
_CARD_LENGTHS: tuple[tuple[re.Pattern[str], frozenset[int]], ...] = (
    (re.compile(r"4"), frozenset({16, 19})),
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), frozenset({16})),
    (re.compile(r"3[47]"), frozenset({15})),
    (re.compile(r"3(?:0[0-5]|[68])"), frozenset({14})),
    (re.compile(r"6(?:011|4[4-9]|5|2)|35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),
)
"""First digits and lengths: Visa, Mastercard, American Express, Diners, Discover, UnionPay and JCB (ISO/IEC 7812)."""


@dataclass(frozen=True, slots=True)
class Redaction:
    """The masked text, and how many of each kind (`email`, `phone`, `card`) were masked."""

    text: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Span:
    start: int
    end: int
    kind: str


def redact(text: str, keep: Iterable[str] = (), region: str = "GB") -> Redaction:
    """Replace e-mail addresses, phone numbers and card numbers by `[EMAIL]`, `[PHONE]` and `[CARD]`.

    `keep` lists the company's own, compared without spaces and case. `region` (ISO 3166) is the country of phone
    numbers that have no country code. Order numbers, dates and prices stay: a bare run of digits counts as a phone
    number only where words such as "call" or "mobile" come before it.
    """
    kept = frozenset(_key(entry) for entry in keep)
    spans: list[_Span] = []
    for span in _find(text, region):
        free = all(span.end <= other.start or other.end <= span.start for other in spans)
        if free and _key(text[span.start : span.end]) not in kept:
            spans.append(span)
    if not spans:
        return Redaction(text)
    pieces, position = [], 0
    for span in sorted(spans, key=lambda span: span.start):
        pieces += [text[position : span.start], f"[{span.kind.upper()}]"]
        position = span.end
    counts = Counter(span.kind for span in spans)
    return Redaction("".join([*pieces, text[position:]]), dict(sorted(counts.items())))


def luhn(digits: str) -> bool:
    """Whether the check digit fits (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _key(entry: str) -> str:
    """Spaces, case and the punctuation inside phone numbers do not matter."""
    squeezed = re.sub(r"\s+", "", entry).casefold()
    return squeezed if "@" in squeezed else re.sub(r"[().\-/]", "", squeezed)


def _find(text: str, region: str) -> Iterator[_Span]:
    if "@" in text:
        yield from (_Span(*found.span(), "email") for found in _EMAIL.finditer(text))
    runs = [found.span() for found in _DIGIT_RUN.finditer(text)]
    if not runs:
        return
    yield from (_Span(*found.span(), "card") for found in _CARD.finditer(text) if _is_card(found, text))
    links = [found.span() for found in _URL.finditer(text)]
    for start, end in runs:
        if any(first <= start < last for first, last in links):
            continue
        for match in PhoneNumberMatcher(text[start:end], region, leniency=Leniency.POSSIBLE):
            span = _Span(start + match.start, start + match.end, "phone")
            if _is_phone(match, text[max(0, span.start - _CONTEXT) : span.start]):
                yield span


def _is_card(found: re.Match[str], text: str) -> bool:
    digits = re.sub(r"\D", "", found.group())
    issued = any(start.match(digits) and len(digits) in lengths for start, lengths in _CARD_LENGTHS)
    before = text[max(0, found.start() - _CONTEXT) : found.start()]
    return issued and luhn(digits) and _REFERENCE_BEFORE.search(before) is None


def _is_phone(match: PhoneNumberMatch, before: str) -> bool:
    """Judge a possible number by how it is written and what comes before it."""
    raw = match.raw_string
    if sum(character.isdigit() for character in raw) < _FEWEST_DIGITS or _NO_PHONE.fullmatch(raw):
        return False
    if _PHONE_BEFORE.search(before):
        return True
    if _REFERENCE_BEFORE.search(before) or _CALCULATION.search(raw):
        return False
    if raw.startswith("+"):
        return raw[1:2].isdigit() or raw[1:2] == "("
    valid: bool = phonenumbers.is_valid_number(match.number)
    if raw.strip("()").isdigit():
        return valid and raw.startswith("0")
    return valid or _WRITTEN_LIKE_PHONE.match(raw) is not None
