"""The language of a text, with the benefit of the doubt."""

import re
from collections.abc import Collection, Mapping
from functools import cache
from itertools import islice, repeat
from typing import NamedTuple

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from luthier.data.common_words import COMMON_WORDS
from luthier.text.hints import holds_any

MIN_LETTERS = 20
"""Fewer letters tell nothing reliable."""
MIN_PROBABILITY = 0.02
"""A text is foreign when the wanted languages together are less probable than this."""
_NOT_LANGUAGE = re.compile(r"https?://\S+|\S+@\S+|\[[A-Z]+\]|`[^`]*`|(?<![#\w])[#\w]*\d\w*")
_NOT_LANGUAGE_HINTS = (*"0123456789", "://", "@", "[", "`")
_FEWEST_WORDS = 8
_SURE = 0.15
"""Share of the words that must be telling ones; in most English texts about a quarter are."""
_PENALTY = 3
"""How much a common word of another language counts against it."""


class LanguageGuess(NamedTuple):
    """The likeliest language (ISO 639-1), and the probability that it is one of those wanted."""

    likeliest: str
    wanted: float


def surely_in(text: str, wanted: Collection[str]) -> bool:
    """Whether the commonest words alone tell that a text is in one of the languages: enough of these, few of others.

    Says no where `guess_language` has to be asked, which takes thirty times as long.
    """
    weights = _telling_words(frozenset(wanted))
    found = text.lower().split()
    if not weights or len(found) < _FEWEST_WORDS:
        return False
    return sum(map(weights.get, found, repeat(0))) >= _SURE * len(found)


@cache
def _telling_words(wanted: frozenset[str]) -> Mapping[str, int]:
    """What words count that are common in these languages alone, or in others alone; empty where none has a list."""
    ours = frozenset[str]().union(*(COMMON_WORDS.get(language, ()) for language in wanted))
    others = frozenset[str]().union(*(words for language, words in COMMON_WORDS.items() if language not in wanted))
    if not ours:
        return {}
    return {**dict.fromkeys(ours - others, 1), **dict.fromkeys(others - ours, -_PENALTY)}


def guess_language(text: str, wanted: Collection[str]) -> LanguageGuess | None:
    """Judge a text by its words alone; None where too few letters are left to judge by."""
    has_more = not text.isascii() or holds_any(text, _NOT_LANGUAGE_HINTS)
    prose = _NOT_LANGUAGE.sub(" ", text) if has_more else text
    if sum(1 for _ in islice(filter(str.isalpha, prose), MIN_LETTERS)) < MIN_LETTERS:
        return None
    ranked = _identifier().rank(prose)
    return LanguageGuess(str(ranked[0][0]), float(sum(share for language, share in ranked if language in wanted)))


def known_languages() -> frozenset[str]:
    """The codes that can be told apart."""
    return frozenset(_identifier().labels)


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
