"""All pairs of word sets that are alike, found exactly.

A pair of Jaccard likeness t shares at least ceil(t |A|) words with either set A. With each set's words in one order,
rare ones first, it therefore shares k words among the first |A| - ceil(t |A|) + k of either (prefix filtering:
Chaudhuri, Ganti and Kaushik 2006; more than one word: Wang, Li and Feng 2012). Sets of up to `_SHORT` words are looked
up by all pairs (k = 2) of these first words, longer ones by single words (k = 1). What is found there is compared by a
bit pattern of each set, which bounds how much two sets differ, and only then word by word.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from luthier.data.ragged import Hashes, Numbers, Ragged, ShortHashes, jaccard_likenesses, offsets_of

LIKENESS = 0.8
"""Jaccard likeness from which two sets are alike."""

Mask = npt.NDArray[np.bool_]

_SHORT = 320
_TABLE_BITS = 22
_SIGNATURES = 1 << 22
_PAIRS = 1 << 21
_COMPARED_WORDS = 1 << 22
_BUDGET = 1 << 29
_EPSILON = 1e-9
_LEVEL = np.uint32(24)
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHORT_MULTIPLIER = np.uint32(0x9E3779B1)


class Judge(Protocol):
    """Says which pairs are worth comparing, and is told which are alike.

    Two sets are compared only if their labels differ. Labels may change when pairs are found.
    """

    @property
    def labels(self) -> Numbers:
        """(sets,)."""

    def wanted(self, one: Numbers, other: Numbers) -> Mask:
        """Which of these pairs to compare; none whose labels are equal."""

    def found(self, one: Numbers, other: Numbers) -> None:
        """These pairs are alike."""


@dataclass(slots=True)
class JoinedSets:
    """A judge that joins alike sets to components; `labels` give each set the smallest number of its component."""

    labels: Numbers

    @classmethod
    def of(cls, count: int, one: Numbers, other: Numbers) -> "JoinedSets":
        """`count` sets, of which these pairs are joined from the start."""
        judge = cls(np.arange(count))
        judge.found(one, other)
        return judge

    def wanted(self, one: Numbers, other: Numbers) -> Mask:
        return np.asarray(self.labels[one] != self.labels[other])

    def found(self, one: Numbers, other: Numbers) -> None:
        if len(one) == 0:
            return
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        joined, ends = np.unique(np.concatenate([self.labels[one], self.labels[other]]), return_inverse=True)
        shape = (len(joined), len(joined))
        links = coo_array((np.ones(len(one), np.int8), (ends[: len(one)], ends[len(one) :])), shape=shape)
        _, components = connected_components(links, directed=False)
        smallest = np.full(components.max() + 1, len(self.labels))
        np.minimum.at(smallest, components, joined)
        renamed = np.arange(len(self.labels))
        renamed[joined] = smallest[components]
        self.labels = renamed[self.labels]


@dataclass(slots=True)
class CrossMatches:
    """A judge that finds for each set one of every other label that it is like.

    `partners[i, label]` is such a set of that label, or -1. Labels count from 0.
    """

    labels: Numbers
    partners: Numbers

    @classmethod
    def between(cls, labels: Numbers) -> "CrossMatches":
        return cls(labels, np.full((len(labels), int(labels.max(initial=0)) + 1), -1))

    def wanted(self, one: Numbers, other: Numbers) -> Mask:
        label, other_label = self.labels[one], self.labels[other]
        wanted = np.asarray(label != other_label)
        apart = np.flatnonzero(wanted)
        known = self.partners[one[apart], other_label[apart]] >= 0
        known &= self.partners[other[apart], label[apart]] >= 0
        wanted[apart] = ~known
        return wanted

    def found(self, one: Numbers, other: Numbers) -> None:
        self.partners[one, self.labels[other]] = other
        self.partners[other, self.labels[one]] = one


def find_alike(sets: Ragged, judge: Judge) -> bool:
    """Show the judge pairs at least 0.8 alike: all that it wants, but those that it learns of otherwise.

    `sets` are sorted and distinct `ShortHashes` of words. Sets without words are like no other. Memory: up to 300 bytes
    a set of 90 words beside the sets, and 300 MB.

    Words are told apart by 32 bits. Two sets of 100 words that are about 0.8 alike have 110 words together, two of
    which have one hash with probability 110 * 109 / 2 / 2^32: in one such pair of 700,000. Likeness then is off by a
    word, which changes the verdict only of pairs that are within a word of the limit.

    Gives whether every pair was looked at. Hundreds of thousands of sets from so few words that most share even their
    rarest ones would take hours: of these, what shares only signatures that very many share is left out.
    """
    lengths = sets.lengths
    by_size = np.flatnonzero(lengths)[np.argsort(lengths[lengths > 0], kind="stable")]
    rarity = _Rarity.of(sets)
    short = by_size[(lengths[by_size] <= _SHORT) & (lengths[by_size] > 1)]
    prefixes = _under_several_labels(_prefixes(sets, short, rarity, shared=2), judge.labels[short])
    skipped = _Search(sets, short, judge, bits=256).run(prefixes, in_pairs=True)
    fewest = np.ceil(LIKENESS * _SHORT)
    long = by_size[(lengths[by_size] >= fewest) | (lengths[by_size] == 1)]
    prefixes = _under_several_labels(_prefixes(sets, long, rarity, shared=1), judge.labels[long])
    skipped += _Search(sets, long, judge, bits=2048).run(prefixes, in_pairs=False)
    return skipped == 0


@dataclass(frozen=True, slots=True)
class _Rarity:
    """How often words occur, on a logarithmic scale up to 255, by some bits of their hashes."""

    levels: ShortHashes
    bits: int

    @classmethod
    def of(cls, sets: Ragged) -> "_Rarity":
        bits = min(_TABLE_BITS, len(sets.values).bit_length())
        counts = np.zeros(1 << bits, np.int64)
        for start in range(0, len(sets.values), _PAIRS):
            counts += np.bincount(_bucket(sets.values[start : start + _PAIRS], bits), minlength=len(counts))
        return cls(np.minimum(np.log2(np.maximum(counts, 1)) * 8, 255).astype(np.uint32), bits)

    def order(self, words: ShortHashes) -> ShortHashes:
        """Numbers that are smaller for rarer words.

        Few words have one number. No pair is missed by that: what two sets share they share under these numbers, too,
        as often as it occurs.
        """
        return (self.levels[_bucket(words, self.bits)] << _LEVEL) | (words & np.uint32((1 << 24) - 1))


def _bucket(words: ShortHashes, bits: int) -> Numbers:
    numbers: Numbers = ((words * _SHORT_MULTIPLIER) >> np.uint32(32 - bits)).astype(np.int64)
    return numbers


def _fewest_shared(lengths: Numbers) -> Numbers:
    fewest: Numbers = np.ceil(LIKENESS * lengths - _EPSILON).astype(np.int64)
    return fewest


def _prefixes(sets: Ragged, members: Numbers, rarity: _Rarity, shared: int) -> Ragged:
    """The first words of the members, rare ones first and as `_Rarity.order` numbers them, of which alike sets have
    `shared` in common."""
    lengths = sets.lengths[members]
    counts = lengths - _fewest_shared(lengths) + shared
    offsets = offsets_of(counts)
    values = np.empty(offsets[-1], np.uint32)
    for length in np.unique(lengths).tolist():
        start, stop = np.searchsorted(lengths, [length, length + 1]).tolist()
        count = int(counts[start])
        rows = max(1, _PAIRS // length)
        for first in range(start, stop, rows):
            some = members[first : min(first + rows, stop)]
            matrix = sets.values[sets.offsets[some, None] + np.arange(length)]
            ordered = np.sort(rarity.order(matrix), axis=1)[:, :count]
            values[offsets[first] : offsets[first] + ordered.size] = ordered.ravel()
    return Ragged(values, offsets)


def _under_several_labels(prefixes: Ragged, labels: Numbers) -> Ragged:
    """The prefixes without words that stand in those of one label alone: what these share is not compared.

    Words are looked up in a table by their hashes, so a few of those stay.
    """
    lengths = prefixes.lengths
    bits = min(_TABLE_BITS, max(1, len(prefixes.values).bit_length()))
    seen = np.zeros(1 << bits, np.int32)
    several = np.zeros(1 << bits, np.bool_)
    parts = [(some, slice(*prefixes.offsets[[some.start, some.stop]].tolist())) for some in _chunks(lengths, _PAIRS)]
    for some, inside in parts:
        seen[_bucket(prefixes.values[inside], bits)] = np.repeat(labels[some], lengths[some])
    for some, inside in parts:
        places = _bucket(prefixes.values[inside], bits)
        several[places[seen[places] != np.repeat(labels[some], lengths[some])]] = True
    left, counts = [np.empty(0, np.uint32)], [np.empty(0, np.int64)]
    for some, inside in parts:
        values = prefixes.values[inside]
        chosen = several[_bucket(values, bits)]
        left.append(values[chosen])
        counts.append(
            np.diff(offsets_of(chosen.view(np.uint8))[prefixes.offsets[some.start : some.stop + 1] - inside.start])
        )
    return Ragged(np.concatenate(left), offsets_of(np.concatenate(counts)))


class _Search:
    """Looks for alike pairs among members, which ascend in size; members are numbered from 0 in that order."""

    def __init__(self, sets: Ragged, members: Numbers, judge: Judge, bits: int) -> None:
        self._sets, self._members, self._judge = sets, members, judge
        self._sizes = sets.lengths[members]
        self._patterns = _bit_patterns(sets, members, bits)
        self.budget, self.skipped = _BUDGET, 0

    def run(self, prefixes: Ragged, *, in_pairs: bool) -> int:
        """Compare what shares a signature: a word of the prefix, or two. Gives how many comparisons were left out."""
        counts = prefixes.lengths
        total = int((counts * (counts - 1) // 2 if in_pairs else counts).sum())
        parts = 1 << max(0, -(-total // _SIGNATURES) - 1).bit_length()
        for part in range(parts):
            self._compare_buckets(*_sharing(*_signatures(prefixes, part, parts, in_pairs=in_pairs)))
        everyone = np.arange(len(self._members))
        if self.skipped and len(everyone) ** 2 // 2 <= _BUDGET:
            self.budget, self.skipped = _BUDGET, 0
            self._compare_buckets(everyone, np.zeros(1, np.int64))
        return self.skipped

    def _compare_buckets(self, rows: Numbers, starts: Numbers) -> None:
        """`rows` of all buckets, each ascending from its start. First all with the first of their bucket, and with the
        one before, so that what is alike is mostly joined before all pairs of the rest are formed."""
        rows, starts = self._of_several_labels(rows, starts)
        if len(rows) == 0:
            return
        bucket = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
        first = rows[starts][bucket]
        inner = np.flatnonzero(rows != first)
        judged = np.empty(0, np.int64)
        judged = self._compare(first[inner], rows[inner], judged)
        judged = self._compare(rows[inner - 1], rows[inner], judged)
        labels = self._judge.labels
        apart = np.flatnonzero(labels[self._members[rows]] != labels[self._members[first]])
        keys = bucket * (int(self._sizes[-1]) + 1) + self._sizes[rows]
        sizes = self._sizes[rows[apart]]
        reach = keys[apart] - sizes
        low = np.searchsorted(keys, reach + _fewest_shared(sizes))
        high = np.searchsorted(keys, reach + np.floor(sizes / LIKENESS + _EPSILON).astype(np.int64), side="right")
        within = self._within_budget(bucket[apart], high - low)
        apart, low, high = apart[within], low[within], high[within]
        for chosen in _chunks(high - low, _PAIRS):
            counts = (high - low)[chosen]
            one = np.repeat(rows[apart[chosen]], counts)
            places = np.arange(len(one)) + np.repeat(low[chosen] - offsets_of(counts)[:-1], counts)
            judged = self._compare(one, rows[places], judged)

    def _of_several_labels(self, rows: Numbers, starts: Numbers) -> tuple[Numbers, Numbers]:
        """The buckets in which there is something to compare."""
        if len(rows) == 0:
            return rows, starts
        lengths = np.diff(np.append(starts, len(rows)))
        labels = self._judge.labels[self._members[rows]]
        several = np.logical_or.reduceat(labels != np.repeat(labels[starts], lengths), starts)
        return rows[np.repeat(several, lengths)], offsets_of(lengths[several])[:-1]

    def _within_budget(self, bucket: Numbers, costs: Numbers) -> Mask:
        """Which comparisons to make: those of the cheapest buckets, as far as the budget reaches."""
        per_bucket = np.bincount(bucket, costs, minlength=int(bucket.max(initial=-1)) + 1)
        cheapest = np.argsort(per_bucket, kind="stable")
        affordable = np.zeros(len(per_bucket), np.bool_)
        affordable[cheapest[np.cumsum(per_bucket[cheapest]) <= self.budget]] = True
        within: Mask = affordable[bucket]
        spent = int(costs[within].sum())
        self.budget -= spent
        self.skipped += int(costs.sum()) - spent
        return within

    def _compare(self, one: Numbers, other: Numbers, judged: Numbers) -> Numbers:
        """Judge pairs of members; gives the pairs judged so far, as numbers, sorted."""
        for start in range(0, len(one), _PAIRS):
            left, right = one[start : start + _PAIRS], other[start : start + _PAIRS]
            likely = self._judge.wanted(self._members[left], self._members[right])
            left, right = left[likely], right[likely]
            left, right = np.minimum(left, right), np.maximum(left, right)
            likely = self._may_be_alike(left, right)
            pairs = np.unique(left[likely] * len(self._members) + right[likely])
            pairs = pairs[~_contains(judged, pairs)]
            judged = _merged(judged, pairs)
            self._verify(pairs // len(self._members), pairs % len(self._members))
        return judged

    def _may_be_alike(self, smaller: Numbers, larger: Numbers) -> Mask:
        """Whether sizes and bit patterns allow it: sets differ in at least as many words as their patterns in bits."""
        sizes = self._sizes[smaller], self._sizes[larger]
        allowed = (sizes[0] + sizes[1]) * ((1 - LIKENESS) / (1 + LIKENESS)) + _EPSILON
        places = np.flatnonzero(sizes[0] >= LIKENESS * sizes[1] - _EPSILON)
        differing = np.zeros(len(places), np.int64)
        for column in self._patterns:
            differing += np.bitwise_count(column[smaller[places]] ^ column[larger[places]])
            left = differing <= allowed[places]
            places, differing = places[left], differing[left]
        likely = np.zeros(len(smaller), np.bool_)
        likely[places] = True
        return likely

    def _verify(self, left: Numbers, right: Numbers) -> None:
        words = self._sizes[left] + self._sizes[right]
        for chosen in _chunks(words, _COMPARED_WORDS):
            one, other = self._members[left[chosen]], self._members[right[chosen]]
            wanted = self._judge.wanted(one, other)
            one, other = one[wanted], other[wanted]
            alike = jaccard_likenesses(self._sets.take(one), self._sets.take(other)) >= LIKENESS - _EPSILON
            if alike.any():
                self._judge.found(one[alike], other[alike])


def _signatures(prefixes: Ragged, part: int, parts: int, *, in_pairs: bool) -> tuple[Hashes, np.uint64]:
    """All words of the prefixes that fall into this part, or these words with each later one, with the row of each in
    the lowest bits; and how many bits these are. What a signature loses by that, only makes pairs to be found unlike.
    """
    lengths = prefixes.lengths
    bits = np.uint64(max(1, int(len(lengths) - 1).bit_length()))
    packed: list[Hashes] = []

    def pack(signatures: Hashes, rows: Numbers) -> None:
        signatures >>= bits
        signatures <<= bits
        signatures |= rows.astype(np.uint64)[:, None]
        packed.append(signatures.ravel())

    for length in np.unique(lengths[lengths > 0]).tolist():
        of_length = np.flatnonzero(lengths == length)
        block = max(1, _PAIRS // length)
        for start in range(0, len(of_length), block):
            some = of_length[start : start + block]
            matrix = prefixes.values[prefixes.offsets[some, None] + np.arange(length)]
            chosen = ((matrix * _SHORT_MULTIPLIER) >> np.uint32(8)) & np.uint32(parts - 1) == part
            for place in range(length - 1 if in_pairs else length):
                inside = np.flatnonzero(chosen[:, place])
                signatures = matrix[inside, place, None] * _MULTIPLIER
                if in_pairs:
                    later = matrix[inside, place + 1 :] * _MULTIPLIER
                    signatures = (signatures ^ (later >> np.uint64(29))) * _MULTIPLIER + later
                pack(signatures, some[inside])
    return (np.concatenate(packed) if packed else np.empty(0, np.uint64)), bits


def _sharing(packed: Hashes, bits: np.uint64) -> tuple[Numbers, Numbers]:
    """The rows that share their signature with another, bucket by bucket and ascending in each; where buckets start."""
    packed.sort()
    new = np.ones(len(packed), np.bool_)
    new[1:] = (packed[1:] ^ packed[:-1]) >> bits > 0
    alone = new.copy()
    alone[:-1] &= new[1:]
    members = (packed[~alone] & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    return members, np.flatnonzero(new[~alone])


def _bit_patterns(sets: Ragged, members: Numbers, bits: int) -> list[Hashes]:
    """bits / 64 columns (members,): bit b is the parity of the number of words that hash to b."""
    columns = [np.zeros(len(members), np.uint64) for _ in range(bits // 64)]
    for chosen in _chunks(sets.lengths[members], _PAIRS):
        some = sets.take(members[chosen])
        place = _bucket(some.values, bits.bit_length() - 1)
        mask = np.uint64(1) << (place & 63).astype(np.uint64)
        for number, column in enumerate(columns):
            here = np.where(place >> 6 == number, mask, np.uint64(0))
            column[chosen] = np.bitwise_xor.reduceat(here, some.offsets[:-1]) if len(here) else 0
    return columns


def _chunks(costs: Numbers, budget: int) -> Iterator[slice]:
    """Slices of the items that cost at most `budget` together, or one item that costs more."""
    ends = np.cumsum(costs)
    start = 0
    while start < len(costs):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + budget, side="right")))
        yield slice(start, stop)
        start = stop


def _contains(ordered: Numbers, values: Numbers) -> Mask:
    if len(ordered) == 0:
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[places] == values)


def _merged(ordered: Numbers, values: Numbers) -> Numbers:
    return np.sort(np.concatenate([ordered, values]), kind="stable")
