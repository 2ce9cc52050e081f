"""Check digits of payment and identity numbers. Every function takes digits (or letters) without separators."""

from collections.abc import Sequence

_DIHEDRAL = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
    (1, 2, 3, 4, 0, 6, 7, 8, 9, 5),
    (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7),
    (4, 0, 1, 2, 3, 9, 5, 6, 7, 8),
    (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2),
    (7, 6, 5, 9, 8, 2, 1, 0, 4, 3),
    (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)
_STEP = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


def luhn(digits: str) -> bool:
    """Whether the check digit fits (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def verhoeff(digits: str) -> bool:
    """Whether the check digit fits (Verhoeff 1969: products in the dihedral group of the pentagon)."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit)
        for _ in range(place % 8):
            value = _STEP[value]
        check = _DIHEDRAL[check][value]
    return check == 0


def mod_11_10(digits: str) -> bool:
    """Whether the check digit fits (ISO/IEC 7064, hybrid system MOD 11,10)."""
    product = 10
    for digit in digits[:-1]:
        product = ((product + int(digit)) % 10 or 10) * 2 % 11
    return (product + int(digits[-1])) % 10 == 1


def weighted(digits: str, weights: Sequence[int]) -> int:
    """Sum of each digit times its weight; as many digits as weights count."""
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def mod_97(account: str) -> bool:
    """Whether the two check digits of an IBAN fit (ISO 13616: MOD 97-10 of ISO/IEC 7064, letters as 10 to 35)."""
    turned = account[4:] + account[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1
