"""National identity, tax, health and social security numbers, each with its check."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from luthier.text.personal.check_digits import luhn, mod_11_10, verhoeff, weighted
from luthier.text.personal.context import mentions

Fits = Callable[[str], bool]
_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_HETU_LETTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_CURP_CHARACTERS = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
_PPS_LETTERS = "WABCDEFGHIJKLMNOPQRSTUV"
_CF_ODD = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
"""Values of A to Z, and of 0 to 9, in odd places of the codice fiscale (decree of 23 December 1976)."""


def _date(digits: str) -> bool:
    """Year, month, day of two digits each."""
    return 1 <= int(digits[2:4]) <= 12 and 1 <= int(digits[4:6]) <= 31


def _day_first(digits: str) -> bool:
    return 1 <= int(digits[:2]) <= 31 and 1 <= int(digits[2:4]) <= 12


def _ssn(digits: str) -> bool:
    area = digits[:3]
    return area not in ("000", "666") and area < "900" and digits[3:5] != "00" and digits[5:] != "0000"


def _itin(digits: str) -> bool:
    return digits[0] == "9" and digits[3:5] >= "50"


def _nhs(digits: str) -> bool:
    return (11 - weighted(digits, range(10, 1, -1)) % 11) % 11 == int(digits[9])


def _idnr(digits: str) -> bool:
    """Of the first ten digits exactly one comes twice or three times (BZSt, Steuerliche Identifikationsnummer)."""
    times = sorted(digits[:10].count(digit) for digit in set(digits[:10]))
    return digits[0] != "0" and times[-1] in (2, 3) and times[-2] == 1 and mod_11_10(digits)


def _nir(digits: str) -> bool:
    month = int(digits[3:5])
    known = 1 <= month <= 12 or month >= 20
    return digits[0] in "123478" and known and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _bsn(digits: str) -> bool:
    return weighted(digits, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(digits) > 0


def _pesel(digits: str) -> bool:
    """Born from 1900 (months 01 to 12) or 2000 (21 to 32)."""
    month = int(digits[2:4])
    born = (1 <= month <= 12 or 21 <= month <= 32) and 1 <= int(digits[4:6]) <= 31
    return born and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _personnummer(digits: str) -> bool:
    ten = digits[-10:]
    return (len(digits) == 10 or digits[:2] in ("19", "20")) and _date(ten) and luhn(ten)


def _fodselsnummer(digits: str) -> bool:
    first = weighted(digits, (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)) % 11
    second = weighted(digits, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)) % 11
    return _day_first(digits) and first == second == 0


def _cpf(digits: str) -> bool:
    if digits == digits[0] * 11:
        return False
    first = weighted(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def _aadhaar(digits: str) -> bool:
    return digits[0] > "1" and verhoeff(digits)


def _tfn(digits: str) -> bool:
    return weighted(digits, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def _rijksregister(digits: str) -> bool:
    """Those born from 2000 count with a 2 in front."""
    number, check = int(digits[:9]), int(digits[9:])
    born = int(digits[2:4]) % 20 <= 12 and int(digits[4:6]) <= 31
    return born and check in (97 - number % 97, 97 - (2_000_000_000 + number) % 97)


def _ahv(digits: str) -> bool:
    return digits.startswith("756") and weighted(digits, (1, 3) * 6 + (1,)) % 10 == 0


def _nif(digits: str) -> bool:
    return (11 - weighted(digits[:8], range(9, 1, -1)) % 11) % 11 % 10 == int(digits[8])


def _austrian(digits: str) -> bool:
    rest = digits[:3] + digits[4:]
    return weighted(rest, (3, 7, 9, 5, 8, 4, 2, 1, 6)) % 11 == int(digits[3]) and _day_first(digits[4:])


def _rut(text: str) -> bool:
    digits = text[:-1]
    check = 11 - sum(int(digit) * (2 + place % 6) for place, digit in enumerate(reversed(digits))) % 11
    return text[-1].upper() == {10: "K", 11: "0"}.get(check, str(check))


def _south_african(digits: str) -> bool:
    return _date(digits) and digits[10] in "012" and luhn(digits)


def _chinese(text: str) -> bool:
    """GB 11643: region, date of birth, order, MOD 11-2."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return (
        text[6:8] in ("19", "20")
        and _date(text[8:14])
        and "10X98765432"[weighted(text, weights) % 11] == text[17].upper()
    )


def _korean(digits: str) -> bool:
    return _date(digits) and digits[6] in "12345678"


def _hetu_digits(digits: str) -> bool:
    return _day_first(digits) and _HETU_LETTERS[int(digits[:9]) % 31] == digits[9]


def _danish(digits: str) -> bool:
    return _day_first(digits)


@dataclass(frozen=True, slots=True)
class _Rule:
    """`alone` are the shapes that need no word near them, `near` those that do; a shape writes `9` for each digit."""

    fits: Fits
    alone: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    terms: frozenset[str] = frozenset()


def _rule(fits: Fits, alone: str, near: str = "", terms: str = "") -> _Rule:
    return _Rule(
        fits, tuple(filter(None, alone.split("|"))), tuple(filter(None, near.split("|"))), frozenset(terms.split())
    )


_RULES = (
    _rule(_ssn, "3-2-4", "3 2 4|9|3.2.4", "ssn social sociale"),
    _rule(_itin, "", "3-2-4|3 2 4|9", "itin tin"),
    _rule(_nhs, "", "3 3 4|3-3-4|10", "nhs"),
    _rule(_idnr, "11|2 3 3 3", "2-3-3-3|2/3/3/3", "steuer steuerid idnr steueridentifikationsnummer tin"),
    _rule(_nir, "15|1 2 2 2 3 3 2|13 2", "", "sécu sécurité nir insee"),
    _rule(_bsn, "", "9|3 3 3|4 2 3|4.2.3|3.3.3", "bsn burgerservicenummer sofinummer"),
    _rule(_pesel, "11", "6 5", "pesel"),
    _rule(_personnummer, "6-4|8-4", "10|12|6 4|8 4", "personnummer personnumret samordningsnummer"),
    _rule(_fodselsnummer, "11|6 5", "", "fødselsnummer personnummer"),
    _rule(_danish, "", "6-4|10|6 4", "cpr personnummer"),
    _rule(_hetu_digits, "", "6-4", "henkilötunnus hetu"),
    _rule(_cpf, "3.3.3-2", "11|9-2|3 3 3 2|3.3.3.2|3 3 3-2", "cpf"),
    _rule(_aadhaar, "4 4 4|4-4-4", "12", "aadhaar aadhar uidai uid"),
    _rule(luhn, "", "3 3 3|3-3-3|9", "sin nas insurance"),
    _rule(_tfn, "", "3 3 3|9|3-3-3", "tfn tax"),
    _rule(_rijksregister, "2.2.2-3.2", "11|2.2.2 3.2|6-3-2|6 3 2", "rijksregisternummer insz niss national registre"),
    _rule(_ahv, "3.4.4.2", "13|3 4 4 2", "ahv avs"),
    _rule(_nif, "", "9|3 3 3", "nif contribuinte"),
    _rule(_austrian, "", "4 6|10|4-6|4/6", "sozialversicherungsnummer sv svnr versicherungsnummer"),
    _rule(_rut, "2.3.3-1|1.3.3-1", "8-1|7-1", "rut run"),
    _rule(_south_african, "13", "", "id"),
    _rule(_chinese, "18", "", "身份证"),
    _rule(_korean, "", "6-7", "rrn resident"),
)
_BY_SHAPE: dict[str, list[tuple[_Rule, bool]]] = {}
for _entry in _RULES:
    for _shape in _entry.alone:
        _BY_SHAPE.setdefault(_shape, []).append((_entry, True))
    for _shape in _entry.near:
        _BY_SHAPE.setdefault(_shape, []).append((_entry, False))
_MOST_GROUPS = max(len(re.findall(r"\d+", shape)) for shape in _BY_SHAPE)
SHORTEST = 8
"""Digits of the shortest number in the table."""


def numbers_in(text: str, groups: list[tuple[int, int]], blocked: bool) -> Iterator[tuple[int, int]]:
    """Spans of identity numbers in neighbouring groups of digits. `blocked`: only with its own word near it."""
    for first, (start, _) in enumerate(groups):
        shape, digits = "", ""
        for last in range(first, min(len(groups), first + _MOST_GROUPS)):
            begin, end = groups[last]
            if last > first:
                gap = text[groups[last - 1][1] : begin].replace("\u00a0", " ")
                if len(gap) != 1:
                    break
                shape += gap
            shape, digits = f"{shape}{end - begin}", digits + text[begin:end]
            rules = _BY_SHAPE.get(shape)
            if rules and _stands_free(text, start, end) and _any_fits(rules, text, (start, end), digits, blocked):
                yield start, end
                break


def _any_fits(rules: list[tuple[_Rule, bool]], text: str, span: tuple[int, int], digits: str, blocked: bool) -> bool:
    return any(
        rule.fits(digits) and ((alone and not blocked) or mentions(text, *span, rule.terms)) for rule, alone in rules
    )


def _stands_free(text: str, start: int, end: int) -> bool:
    """Not a part of something longer that hyphens, slashes or points join."""
    before, after = text[max(0, start - 1) : start], text[end : end + 2]
    joined = len(after) == 2 and after[0] in "-./" and after[1].isdigit()
    return not (before and (before.isalnum() or before in "-./#_+$€£*=")) and not (after[:1].isalnum() or joined)


def _dni(text: str) -> bool:
    text = text.upper()
    number = str("XYZ".index(text[0])) + text[1:-1] if text[0] in "XYZ" else text[:-1]
    return _DNI_LETTERS[int(number) % 23] == text[-1]


def _svnr(text: str) -> bool:
    """Deutsche Rentenversicherung, § 4 VKVV: the letter counts as its two-digit place in the alphabet."""
    digits = f"{text[:8]}{ord(text[8].upper()) - 64:02}{text[9:11]}"
    weights = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1)
    total = sum(sum(divmod(int(digit) * weight, 10)) for digit, weight in zip(digits, weights, strict=True))
    return total % 10 == int(text[11]) and 1 <= int(text[4:6]) <= 12


def _codice_fiscale(text: str) -> bool:
    text = text.upper()
    total = 0
    for place, character in enumerate(text[:15]):
        value = int(character) if character.isdigit() else ord(character) - 65
        total += value if place % 2 else _CF_ODD[value]
    return chr(65 + total % 26) == text[15]


def _hetu(text: str) -> bool:
    digits = text[:6] + text[7:10]
    return _day_first(digits) and _HETU_LETTERS[int(digits) % 31] == text[10].upper()


def _curp(text: str) -> bool:
    values = (_CURP_CHARACTERS.index(character) for character in text[:17].upper())
    total = sum(value * (18 - place) for place, value in enumerate(values))
    return str((10 - total % 10) % 10) == text[17]


def _pps(text: str) -> bool:
    total = weighted(text[:7], range(8, 1, -1))
    extra = text[8:].upper()
    total += 9 * _PPS_LETTERS.index(extra) if extra and extra in _PPS_LETTERS else 0
    return _PPS_LETTERS[total % 23] == text[7].upper()


def _corsican(text: str) -> bool:
    """Departments 2A and 2B count as 19 and 18 (INSEE)."""
    text = text.upper()
    return _nir(text.replace("2A", "19", 1) if "2A" in text[5:7] else text.replace("2B", "18", 1))


def _nino(text: str) -> bool:
    """HMRC manual NIM39110; some pairs of letters are never given out."""
    return text.isupper() and text[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


def _always(text: str) -> bool:
    return bool(text)


@dataclass(frozen=True, slots=True)
class _Lettered:
    """`terms` where the shape says too little alone."""

    pattern: re.Pattern[str]
    fits: Fits
    terms: frozenset[str] = frozenset()


def _lettered(pattern: str, fits: Fits, terms: str = "") -> _Lettered:
    return _Lettered(re.compile(rf"(?<![^\W_]){pattern}(?![^\W_])", re.IGNORECASE), fits, frozenset(terms.split()))


_NI_TERMS = "ni nino national insurance"
_LETTERED = (
    _lettered(r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D]", _nino),
    _lettered(r"[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]", _always, _NI_TERMS),
    _lettered(r"\d{2}[ .]?\d{3}[ .]?\d{3}[- ]?[A-Z]", _dni),
    _lettered(r"[XYZ][- ]?\d{7}[- ]?[A-Z]", _dni),
    _lettered(r"[0-8]\d ?\d{6} ?[A-Z] ?\d{3}", _svnr),
    _lettered(r"[A-Z]{6} ?[0-9L-NP-V]{2} ?[A-EHLMPRST][0-9L-NP-V]{2} ?[A-Z][0-9L-NP-V]{3} ?[A-Z]", _codice_fiscale),
    _lettered(r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", _hetu),
    _lettered(r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[0-9A-Z]\d", _curp),
    _lettered(r"[A-Z]{3}[ABCFGHLJPT][A-Z]\d{4}[A-Z]", str.isupper),
    _lettered(r"[A-Z]{5}\d{4}[A-Z]", _always, "pan"),
    _lettered(r"\d{7}[A-W][A-IW]?", _pps, "pps ppsn"),
    _lettered(r"[12378] ?\d{2} ?\d{2} ?2[AB] ?\d{3} ?\d{3} ?\d{2}", _corsican),
    _lettered(r"\d{1,2}\.?\d{3}\.?\d{3}-K", _rut),
    _lettered(r"\d{17}X", _chinese),
)
_SEPARATORS = re.compile(r"[ .\u00a0-]")


def lettered_in(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Spans of identity numbers with letters that lie between `start` and `end`."""
    for rule in _LETTERED:
        for found in rule.pattern.finditer(text, start, end):
            first, last = found.span()
            squeezed = found.group() if rule.fits is _hetu else _SEPARATORS.sub("", found.group())
            if rule.fits(squeezed) and (not rule.terms or mentions(text, first, last, rule.terms)):
                yield first, last


def is_identity_number(text: str) -> bool:
    """Whether the check of some scheme fits the whole text, whatever words would have to stand near it."""
    shape = re.sub(r"\d+", lambda digits: str(len(digits.group())), text)
    digits = re.sub(r"\D", "", text)
    if any(rule.fits(digits) for rule, _ in _BY_SHAPE.get(shape, ())):
        return True
    checked = (rule for rule in _LETTERED if rule.fits is not _always and rule.pattern.fullmatch(text))
    return any(rule.fits(text if rule.fits is _hetu else _SEPARATORS.sub("", text)) for rule in checked)
