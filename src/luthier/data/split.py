"""Splits by connected component, so that rows that belong together never straddle."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from luthier.core.recipe import SplitSection
from luthier.core.rows import Split

WORD_SET_LIKENESS = 0.8
FEW_COMPONENTS = 10
"""From this many components on, every split with a share gets at least one."""
_EPSILON = 1e-9


@dataclass(frozen=True, slots=True)
class SplitRow:
    """What decides where a row goes: its groups, its words, and its id, which stands for it in the draw."""

    id: str
    groups: tuple[str, ...]
    words: frozenset[str]


class Components:
    """Disjoint sets of 0..count-1 (union by smallest, path halving)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, member: int) -> int:
        """The smallest member of its set."""
        parent = self._parent
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.root(one), self.root(other)))
        self._parent[second] = first

    def joined(self, one: int, other: int) -> bool:
        return self.root(one) == self.root(other)

    def members(self) -> dict[int, list[int]]:
        """Root -> members, in order."""
        sets: dict[int, list[int]] = defaultdict(list)
        for member in range(len(self._parent)):
            sets[self.root(member)].append(member)
        return dict(sets)


def split_rows(rows: Sequence[SplitRow], links: Iterable[tuple[int, int]], settings: SplitSection) -> list[Split]:
    """The split of each row. `links` are pairs of positions that belong together beyond groups and words."""
    components = Components(len(rows))
    for one, other in links:
        components.join(one, other)
    for one, other in _group_links(rows):
        components.join(one, other)
    for one, other in word_set_links([row.words for row in rows], components.joined):
        components.join(one, other)
    members = components.members()
    drawn = sorted(members, key=lambda root: _draw(min(rows[member].id for member in members[root]), settings.seed))
    chosen = assign_components(
        [len(members[root]) for root in drawn], {"test": settings.test, "validation": settings.validation}
    )
    splits: list[Split] = ["train"] * len(rows)
    for root, split in zip(drawn, chosen, strict=True):
        for member in members[root]:
            splits[member] = split
    return splits


def assign_components(sizes: Sequence[int], shares: Mapping[Split, float]) -> list[Split]:
    """Give components, in the order drawn, to the splits of `shares` until each has its share of rows; the rest trains.

    A component that would overshoot is passed over. A split still short then takes the smallest one left if that
    brings it nearer to its share, or if it has none yet and there are at least ten components.
    """
    total = sum(sizes)
    chosen: list[Split] = ["train"] * len(sizes)
    for split, share in shares.items():
        wanted = round(share * total)
        if share > 0 and len(sizes) >= FEW_COMPONENTS:
            wanted = max(wanted, 1)
        have = 0
        for place, size in enumerate(sizes):
            if chosen[place] == "train" and have + size <= wanted:
                chosen[place] = split
                have += size
        left = [place for place in range(len(sizes)) if chosen[place] == "train"]
        if have >= wanted or len(left) < 2:
            continue
        smallest = min(left, key=lambda place: sizes[place])
        nearer = abs(wanted - have - sizes[smallest]) < wanted - have
        if nearer or (have == 0 and len(sizes) >= FEW_COMPONENTS):
            chosen[smallest] = split
    return chosen


def word_set_links(
    sets: Sequence[frozenset[str]], joined: Callable[[int, int], bool] = lambda _one, _other: False
) -> Iterator[tuple[int, int]]:
    """Pairs of positions whose word sets have a Jaccard likeness of at least 0.8, without those already `joined`.

    Exact. Sets A, B this alike share at least 0.8 |A| words, so that, sorted with rare words first, they share k of
    them within their first |A| - 0.8 |A| + k and |B| - 0.8 |B| + k (prefix filtering; Chaudhuri, Ganti and Kaushik
    2006; with k > 1: Wang, Li and Feng 2012). Identical sets are linked through the first of them.
    """
    frequency = Counter(word for words in sets for word in words)
    first_of: dict[frozenset[str], int] = {}
    for place, words in enumerate(sets):
        first = first_of.setdefault(words, place)
        if first != place and words:
            yield first, place
    distinct = [place for words, place in first_of.items() if words]
    index: dict[str, list[int]] = defaultdict(list)
    for place in sorted(distinct, key=lambda place: (len(sets[place]), place)):
        words = sets[place]
        rare_first = sorted(words, key=lambda word: (frequency[word], word))
        prefix = rare_first[: len(words) - _fewest_shared(words) + _prefix_matches(words)]
        for other, matches in Counter(chain.from_iterable(index[word] for word in prefix)).items():
            likely = matches >= _prefix_matches(sets[other])
            if likely and _alike(words, sets[other]) and not joined(place, other):
                yield other, place
        for word in prefix:
            index[word].append(place)


def _fewest_shared(words: frozenset[str]) -> int:
    return math.ceil(WORD_SET_LIKENESS * len(words) - _EPSILON)


def _prefix_matches(words: frozenset[str]) -> int:
    """k: a longer prefix costs more look-ups, and spares far more comparisons."""
    return min(4, _fewest_shared(words))


def _alike(larger: frozenset[str], smaller: frozenset[str]) -> bool:
    if len(smaller) < WORD_SET_LIKENESS * len(larger) - _EPSILON:
        return False
    shared = len(larger & smaller)
    return shared >= WORD_SET_LIKENESS * (len(larger) + len(smaller) - shared) - _EPSILON


def _group_links(rows: Sequence[SplitRow]) -> Iterator[tuple[int, int]]:
    first_of: dict[str, int] = {}
    for place, row in enumerate(rows):
        for group in row.groups:
            first = first_of.setdefault(group, place)
            if first != place:
                yield first, place


def _draw(row_id: str, seed: int) -> bytes:
    """A component's place in the draw depends on the seed and one row alone, not on the rest of the data."""
    return hashlib.sha256(f"{seed}:{row_id}".encode()).digest()
