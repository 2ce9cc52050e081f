"""The language of a text, with the benefit of the doubt."""

import re
from collections.abc import Collection
from functools import cache
from typing import NamedTuple

from py3langid.langid import MODEL_FILE, LanguageIdentifier

MIN_LETTERS = 20
"""Fewer letters tell nothing reliable."""
MIN_PROBABILITY = 0.02
"""A text is foreign when the wanted languages together are less probable than this."""
_NOT_LANGUAGE = re.compile(r"https?://\S+|\S+@\S+|\[[A-Z]+\]|`[^`]*`|[#\w]*\d\w*")


class LanguageGuess(NamedTuple):
    """The likeliest language (ISO 639-1), and the probability that it is one of those wanted."""

    likeliest: str
    wanted: float


def guess_language(text: str, wanted: Collection[str]) -> LanguageGuess | None:
    """Judge a text by its words alone; None where too few letters are left to judge by."""
    prose = _NOT_LANGUAGE.sub(" ", text)
    if sum(character.isalpha() for character in prose) < MIN_LETTERS:
        return None
    ranked = _identifier().rank(prose)
    return LanguageGuess(str(ranked[0][0]), float(sum(share for language, share in ranked if language in wanted)))


def known_languages() -> frozenset[str]:
    """The codes that can be told apart."""
    return frozenset(_identifier().labels)


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
