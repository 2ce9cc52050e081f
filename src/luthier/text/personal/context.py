"""The words around a number: they tell an order from a phone where the digits alone do not."""

import re
from collections.abc import Collection

_WORD = re.compile(r"[^\W\d_]+|[0-9]+")
_NEAR = 56

NUMBER_WORDS = frozenset(
    [
        "number", "numbers", "no", "nr", "nrs", "nos", "num", "nº", "nᵒ", "n", "id", "ids", "code", "numero",
        "numéro", "número", "nummer", "numer", "numret",
    ]
)  # fmt: skip
FILLERS = NUMBER_WORDS | frozenset(
    [
        "is", "was", "are", "card", "the", "my", "our", "your", "with", "called", "ist", "sind", "lautet", "meine",
        "mein", "die", "der", "das", "est", "sont", "de", "du", "del", "des", "di", "la", "le", "el", "son", "es",
        "è", "e", "to", "jest", "är", "er", "é", "um", "do", "da", "van", "het", "mijn", "s", "and", "und",
    ]
)  # fmt: skip


def words_before(text: str, start: int, reach: int = _NEAR) -> list[str]:
    """Lower-case words and numbers that end before `start`, nearest last; one that `reach` cuts may be a part."""
    return _WORD.findall(text[max(0, start - reach) : start].lower())


def mentions(text: str, start: int, end: int, terms: Collection[str]) -> bool:
    """Whether one of the terms stands shortly before `start` or right after `end`."""
    if any(word in terms for word in words_before(text, start)):
        return True
    return any(word in terms for word in _WORD.findall(text[end : end + 28].lower()))
