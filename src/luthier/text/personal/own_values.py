"""Which values are the company's own: those that recur over many conversations, as a hotline does."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from luthier.text.personal.finding import Finding, comparable

_CAPACITY = 100_000
_FEWEST_CONVERSATIONS = 5
_SMALLEST_SHARE = 0.002
_MOST = 20


class Proposal(NamedTuple):
    """A value that may be the company's own, and in how many conversations it stands."""

    value: str
    kind: str
    conversations: int


class ValueCounts:
    """In how many conversations each value stands.

    Holds `capacity` values; beyond them the rare ones are forgotten, so counts are lower bounds then, and what recurs
    in one conversation of a thousand stays. Counts of partitions can be merged.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self.conversations = 0
        self._capacity = capacity
        self._counts: dict[tuple[str, str], int] = {}
        self._written: dict[tuple[str, str], str] = {}

    def add(self, findings: Iterable[Finding]) -> None:
        """Count what was found in one conversation, each value once."""
        self.conversations += 1
        once: dict[tuple[str, str], str] = {}
        for finding in findings:
            once.setdefault((finding.kind, comparable(finding.value)), finding.value)
        for key, written in once.items():
            self._count(key, written, 1)
        self._forget()

    def merge(self, other: "ValueCounts") -> None:
        """Take in the counts of other conversations."""
        self.conversations += other.conversations
        for key, count in other._counts.items():
            self._count(key, other._written[key], count)
        self._forget()

    def __iter__(self) -> Iterator[Proposal]:
        """Each value, most frequent first."""
        for key, count in sorted(self._counts.items(), key=lambda entry: (-entry[1], entry[0])):
            yield Proposal(self._written[key], key[0], count)

    def _count(self, key: tuple[str, str], written: str, conversations: int) -> None:
        self._counts[key] = self._counts.get(key, 0) + conversations
        self._written[key] = min(written, self._written.get(key, written))

    def _forget(self) -> None:
        """At twice the capacity, forget the rarest, all of one count together."""
        least = 1
        while len(self._counts) > 2 * self._capacity or (least > 1 and len(self._counts) > self._capacity):
            self._counts = {key: count for key, count in self._counts.items() if count > least}
            self._written = {key: self._written[key] for key in self._counts}
            least += 1


def propose_keep(counts: ValueCounts) -> list[Proposal]:
    """Values in at least five conversations and 0.2 % of all, most frequent first: perhaps the company's own.

    Names and orders are left out: what recurs of them is common, not the company's.
    """
    fewest = max(_FEWEST_CONVERSATIONS, _SMALLEST_SHARE * counts.conversations)
    own = [entry for entry in counts if entry.conversations >= fewest and entry.kind not in ("name", "order")]
    return own[:_MOST]
