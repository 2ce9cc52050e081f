"""Facts in a text: prices, dates, durations, numbers and addresses, in one spelling each.

`€6.50`, `6,50 euros` and `EUR 6.50` are one fact; so are `72 hours` and `three days`. English texts.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from luthier.text.fact_patterns import READERS, FactKind, Reader, singular
from luthier.text.numerals import words_to_digits

_GAP = " | "
"""Stands where a fact was taken out, so that nothing is read across it."""

_CONNECTORS = frozenset({
    "a", "an", "and", "about", "after", "at", "before", "between", "by", "every", "for", "from", "in", "of", "on",
    "only", "or", "over", "than", "the", "to", "under", "until", "up", "within",
})  # fmt: skip
"""Words beside a fact that add nothing to it: `within 8 days`, `8 am to 7 pm`."""

_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*(?:[a-z]+\b)?|[^\W_]+")

_FRACTIONS = str.maketrans({"¼": ".25", "½": ".5", "¾": ".75"})


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """A kind and the one spelling of its value: `price`, `6.50 EUR`."""

    kind: FactKind
    value: str

    @property
    def quantity(self) -> tuple[str, str]:
        """What two facts must share to contradict each other: the kind, and for measures and counts the unit too."""
        return self.kind, self.value.partition(" ")[2] if self.kind in ("measure", "count") else ""


def extract_facts(text: str) -> frozenset[Fact]:
    """Every fact of the kinds in `FactKind` that the text states. Both ends of a range are facts."""
    return _take_facts(text)[0]


def recalls(answer: str, fact: str) -> bool:
    """Whether the answer states an expected fact such as `€6.50`, `Nordway` or `17 Quayside`.

    Parts of `fact` that are facts by `extract_facts` must be among those of the answer; what remains must stand
    in the answer as whole words, whatever the case, accents, hyphens and plural -s. An empty `fact` is never stated.
    """
    facts, phrases = _take_facts(fact)
    if not facts and not phrases:
        return False
    words = _spaced(answer)
    return facts <= extract_facts(answer) and all(phrase in words for phrase in phrases)


def wrong_facts(answer: str, expected: Iterable[str], allowed: str) -> frozenset[Fact]:
    """Facts of the answer that contradict the expected ones: the same quantity with another value.

    `allowed` is text whose facts may be repeated, such as the question.
    """
    right = frozenset[Fact]().union(*(extract_facts(fact) for fact in expected))
    quantities = {fact.quantity for fact in right}
    stated = extract_facts(answer) - right - extract_facts(allowed)
    return frozenset(fact for fact in stated if fact.quantity in quantities)


@lru_cache(maxsize=1024)  # an answer is read once for each fact that it should state, and for each way to count
def _take_facts(text: str) -> tuple[frozenset[Fact], tuple[str, ...]]:
    """The facts of a text and the phrases that remain around them, as `_spaced` words."""
    rest = _plain(text)
    facts: set[Fact] = set()
    for reader in READERS:
        found, rest = _take(reader, rest)
        facts.update(found)
    phrases = [_spaced(part) for part in rest.split(_GAP)]
    return frozenset(facts), tuple(phrase for phrase in phrases if _says_something(phrase, bool(facts)))


def _take(reader: Reader, text: str) -> tuple[set[Fact], str]:
    """What one reader finds, and the text with a gap in the place of each."""
    facts: set[Fact] = set()

    def replace(match: re.Match[str]) -> str:
        values = reader.read(match)
        facts.update(Fact(reader.kind, value) for value in values)
        return _GAP if values else match.group()

    return facts, reader.pattern.sub(replace, text)


def _says_something(phrase: str, beside_a_fact: bool) -> bool:
    words = phrase.split()
    return bool(words) and not (beside_a_fact and _CONNECTORS.issuperset(words))


def _plain(text: str) -> str:
    """Lower case, one kind of dash, quote and space, and digits for number words."""
    decimals = re.sub(r"(?<!\d)(?=[¼½¾])", "0", text).translate(_FRACTIONS)
    folded = unicodedata.normalize("NFKC", decimals).casefold()
    folded = re.sub(r"[‐‑‒–—−]", "-", folded).replace("’", "'")
    return words_to_digits(" ".join(folded.replace("|", " ").split()))


@lru_cache(maxsize=1024)
def _spaced(text: str) -> str:
    """The words of a text in the singular and without accents, a space before and after each."""
    letters = unicodedata.normalize("NFKD", re.sub(r"'s\b", "", _plain(text)))
    letters = "".join(character for character in letters if not unicodedata.combining(character))
    words = [singular(word) for word in _TOKEN.findall(letters)]
    return f" {' '.join(words)} " if words else ""
