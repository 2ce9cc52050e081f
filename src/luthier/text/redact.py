"""Redaction: personal data in text gives way to its kind, such as `[EMAIL]`, or to a made-up value."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from luthier.text.personal.detect import find_personal_data
from luthier.text.personal.finding import STRUCTURED_KINDS, Finding, Kind, comparable
from luthier.text.personal.names import name_index
from luthier.text.personal.pseudonyms import Pseudonyms

DEFAULT_KINDS: tuple[Kind, ...] = tuple(kind for kind in STRUCTURED_KINDS if kind != "order")
_REMEMBERED = 1_024
"""Texts whose findings are kept for a moment: a record's text is met again in the row that is made of it."""
_SHORTEST_PLACE = 6


@dataclass(frozen=True, slots=True)
class Redaction:
    """The text without personal data, and how many of each kind (`email`, `phone` …) were replaced."""

    text: str
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """What counts as personal data.

    `keep` lists the company's own values, compared without spaces and case. `region` (ISO 3166) is the country of
    numbers that have no country code. `names` are names to find besides those that a phrase gives away; they count
    where `kinds` has `name`.
    """

    kinds: frozenset[Kind] = frozenset(DEFAULT_KINDS)
    keep: tuple[str, ...] = ()
    region: str = "GB"
    names: tuple[str, ...] = ()


def redact(text: str, keep: Iterable[str] = (), region: str = "GB") -> Redaction:
    """Replace personal data of the default kinds by its kind, as `[EMAIL]` or `[PHONE]`.

    Order numbers, dates and prices stay: a bare run of digits counts as a phone number only where words such as
    "call" or "mobile" come before it.
    """
    return redactor(RedactionRules(keep=tuple(keep), region=region))(text)


def redactor(rules: RedactionRules, pseudonyms: bool = False) -> Callable[[str], Redaction]:
    """What redacts the texts of one conversation; with `pseudonyms` equal values get equal made-up ones in it."""
    write = Pseudonyms(rules.region).of if pseudonyms else _mask
    return lambda text: _replace(text, find_under_rules(text, rules), write)


@lru_cache(maxsize=_REMEMBERED)
def find_under_rules(text: str, rules: RedactionRules) -> tuple[Finding, ...]:
    """The personal data that the rules speak of, by place, the company's own left out."""
    found = find_personal_data(text, rules.region, rules.kinds, _listed(rules.names))
    if not found:
        return ()
    kept = _comparable(rules.keep)
    return tuple(finding for finding in found if not _is_kept(finding, kept))


def _mask(finding: Finding) -> str:
    return f"[{finding.kind.upper()}]"


def _replace(text: str, findings: tuple[Finding, ...], write: Callable[[Finding], str]) -> Redaction:
    if not findings:
        return Redaction(text)
    pieces, position = [], 0
    for finding in findings:
        pieces += [text[position : finding.start], write(finding)]
        position = finding.end
    counts = Counter(finding.kind for finding in findings)
    return Redaction("".join([*pieces, text[position:]]), dict(sorted(counts.items())))


def _is_kept(finding: Finding, kept: frozenset[str]) -> bool:
    """An address is written with or without its postcode: it is enough that one holds the other."""
    value = comparable(finding.value)
    if value in kept or finding.kind != "address":
        return value in kept
    return any(value in place or place in value for place in kept if len(place) >= _SHORTEST_PLACE)


@lru_cache(maxsize=_REMEMBERED)
def _comparable(keep: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(comparable, keep))


@lru_cache(maxsize=_REMEMBERED)
def _listed(names: tuple[str, ...]) -> Mapping[str, list[tuple[str, ...]]]:
    return name_index(names)
