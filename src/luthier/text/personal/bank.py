"""Payment cards and bank accounts."""

import re
from collections.abc import Iterator

from luthier.text.personal.check_digits import luhn, mod_97

_CARD_LENGTHS: tuple[tuple[re.Pattern[str], frozenset[int]], ...] = (
    (re.compile(r"4"), frozenset({16, 19})),
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), frozenset({16})),
    (re.compile(r"3[47]"), frozenset({15})),
    (re.compile(r"3(?:0[0-5]|[68])"), frozenset({14})),
    (re.compile(r"6(?:011|4[4-9]|5|2)|35(?:2[89]|[3-8])"), frozenset({16, 17, 18, 19})),
    (re.compile(r"5018|5020|5038|5893|6304|6759|676[1-3]"), frozenset({16, 17, 18, 19})),
)
"""First digits and lengths: Visa, Mastercard, American Express, Diners, Discover, UnionPay, JCB and Maestro
(ISO/IEC 7812)."""
_CARD_DIGITS = range(13, 20)
_LONGEST_IBAN = 34
IBAN_LENGTHS = {
    country: int(length)
    for country, length in (
        entry.split(":")
        for entry in [
            "AD:24", "AE:23", "AL:28", "AT:20", "AZ:28", "BA:20", "BE:16", "BG:22", "BH:22", "BR:29", "BY:28",
            "CH:21", "CR:22", "CY:28", "CZ:24", "DE:22", "DK:18", "DO:28", "EE:20", "EG:29", "ES:24", "FI:18",
            "FO:18", "FR:27", "GB:22", "GE:22", "GI:23", "GL:18", "GR:27", "GT:28", "HR:21", "HU:28", "IE:22",
            "IL:23", "IQ:23", "IS:26", "IT:27", "JO:30", "KW:30", "KZ:20", "LB:28", "LC:32", "LI:21", "LT:20",
            "LU:20", "LV:21", "LY:25", "MC:27", "MD:24", "ME:22", "MK:19", "MR:27", "MT:31", "MU:30", "NL:18",
            "NO:15", "PK:24", "PL:28", "PS:29", "PT:25", "QA:29", "RO:24", "RS:22", "SA:24", "SC:31", "SE:24",
            "SI:19", "SK:24", "SM:27", "ST:25", "SV:28", "TL:23", "TN:24", "TR:26", "UA:29", "VA:22", "VG:24",
            "XK:20",
        ]
    )
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT IBAN registry)."""


def is_card(digits: str) -> bool:
    """Whether an issuer gives numbers of this beginning and length, and the check digit fits."""
    return any(start.match(digits) and len(digits) in lengths for start, lengths in _CARD_LENGTHS) and luhn(digits)


def iban_at(text: str, start: int) -> int | None:
    """The end of the IBAN that starts at `start`, in groups or not; None where none does."""
    length = IBAN_LENGTHS.get(text[start : start + 2].upper())
    if length is None or (start and text[start - 1].isalnum()):
        return None
    account, place = "", start
    for place in range(start, min(len(text), start + 2 * _LONGEST_IBAN)):
        character = text[place]
        if character.isalnum() and character.isascii():
            account += character.upper()
        elif character not in " \u00a0-." or not text[place - 1].isalnum():
            return None
        if len(account) == length:
            break
    if len(account) < length or text[place + 1 : place + 2].isalnum():
        return None
    return place + 1 if mod_97(account) else None


def cards_in(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans of card numbers in neighbouring groups of digits, joined by nothing but a space or a hyphen."""
    for first, (start, _) in enumerate(groups):
        digits = ""
        for group in range(first, min(len(groups), first + 6)):
            begin, end = groups[group]
            if end - begin < 2 or (group > first and text[groups[group - 1][1] : begin] not in (" ", "-", "\u00a0")):
                break
            digits += text[begin:end]
            if len(digits) > _CARD_DIGITS[-1]:
                break
            if len(digits) in _CARD_DIGITS and is_card(digits):
                yield start, end
