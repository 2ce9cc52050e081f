"""Exact and near duplicates.

Near duplicates are found by MinHash over runs of five words in 20 bands of 6 hashes (Broder 1997; Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, chapter 3): a pair of Jaccard likeness 0.8 shares a band with
probability 1 - (1 - 0.8^6)^20 = 99.8 %. A row is dropped only when its likeness to a row that is kept, counted over
all their runs of five words (as 64-bit hashes), confirms it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from luthier.data.ragged import Hashes, Numbers, Ragged, distinct, jaccard_likenesses
from luthier.data.sketch import BANDS, shingles

SIBLING_LIKENESS = 0.8
"""Rows this alike belong to one split, kept though they are."""
_MAX_ROUNDS = 10
_CHUNK_WORDS = 2_000_000

Mask = npt.NDArray[np.bool_]


class Sketches(Protocol):
    """The sketches of all rows, most of them on disk."""

    @property
    def word_counts(self) -> npt.NDArray[np.int32]:
        """Words of each row."""

    def band(self, number: int) -> Hashes:
        """One band of every row."""

    def words(self, rows: Numbers) -> Ragged:
        """Hashes of the words of these rows, which ascend."""


class Match(NamedTuple):
    """The kept row that a dropped one is like, and how much (Jaccard)."""

    row: int
    likeness: float


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """`matches` of the rows to drop, and pairs of kept rows that are alike."""

    matches: dict[int, Match] = field(default_factory=dict)
    siblings: list[tuple[int, int]] = field(default_factory=list)


def exact_duplicates(hashes: Hashes, eligible: Mask, present: Mask) -> dict[int, int]:
    """{row: the first eligible row of the same hash, which comes before it} among the rows present."""
    links = _bucket_links(hashes, eligible, present)
    return {row: lead for lead, row in links.tolist()}


def near_duplicates(sketches: Sketches, eligible: Mask, present: Mask, threshold: float | None) -> NearDuplicates:
    """Find the rows present that are like an earlier eligible row that is kept; with threshold None none is dropped.

    Bands are read one at a time and words a chunk at a time: memory holds some bytes a row, and 8 a candidate pair.
    Rows of a bucket are compared with its smallest row, then those still kept also with the one before. Since these
    may be dropped themselves, rounds over what is kept follow until one drops nothing. So the work is linear in the
    rows, however many are in one bucket.
    """
    kept, search = eligible.copy(), _Search(sketches)
    matches: dict[int, Match] = {}
    alike: list[tuple[int, int]] = []
    judged = np.empty(0, np.int64)
    active = eligible
    for turn in range(_MAX_ROUNDS):
        dropped_before = len(matches)
        pairs = search.candidates(kept & active, kept & active, neighbours=turn > 0)
        active = np.zeros_like(eligible)
        active[search.rows_of(pairs)] = True  # others share no bucket, now and later
        pairs = pairs[~np.isin(pairs, judged, assume_unique=True)]
        judged = np.union1d(judged, pairs)
        for lead, row, likeness in search.confirmed(pairs, min(threshold or 1.0, SIBLING_LIKENESS)):
            if threshold is not None and likeness >= threshold and kept[lead] and kept[row]:
                matches[row] = Match(lead, likeness)
                kept[row] = False
            elif likeness >= SIBLING_LIKENESS:
                alike.append((lead, row))
        if turn > 0 and len(matches) == dropped_before:
            break
    if threshold is not None:
        _follow_kept_rows(search, matches, kept, threshold)
        matches |= search.first_matches(kept, present & ~eligible, threshold)
    return NearDuplicates(matches, [(lead, row) for lead, row in alike if kept[lead] and kept[row]])


def _follow_kept_rows(search: "_Search", matches: dict[int, Match], kept: Mask, threshold: float) -> None:
    """Find another lead for rows whose own was dropped in a later round; a row that has none comes back."""
    lost = sorted(row for row, match in matches.items() if not kept[match.row])
    probes = np.zeros_like(kept)
    probes[lost] = True
    found = search.first_matches(kept, probes, threshold) if lost else {}
    for row in lost:
        if row in found:
            matches[row] = found[row]
        elif not kept[matches[row].row]:
            del matches[row]
            kept[row] = True


class _Search:
    """Looks for pairs; a pair (lead, row), lead < row, is the number `lead * rows + row`."""

    def __init__(self, sketches: Sketches) -> None:
        self._sketches = sketches
        self._rows = len(sketches.word_counts)

    def candidates(self, leads: Mask, probes: Mask, *, neighbours: bool = True) -> Numbers:
        """Pairs that share a band, sorted: of probes with the smallest lead of their bucket, and with `neighbours` also
        with the lead just before."""
        pairs = np.empty(0, np.int64)
        for band in range(BANDS):
            links = _bucket_links(self._sketches.band(band), leads, probes, neighbours=neighbours)
            pairs = np.union1d(pairs, links[:, 0] * self._rows + links[:, 1])
        return pairs

    def rows_of(self, pairs: Numbers) -> Numbers:
        return np.union1d(pairs // self._rows, pairs % self._rows) if self._rows else pairs

    def confirmed(self, pairs: Numbers, least: float) -> Iterator[tuple[int, int, float]]:
        """(lead, row, Jaccard) of the pairs this alike, by lead: its own fate is settled before that of its rows."""
        for chunk in self._chunks(pairs):
            leads, followers = chunk // self._rows, chunk % self._rows
            rows = np.union1d(leads, followers)
            sets = distinct(shingles(self._sketches.words(rows)))
            one, other = sets.take(np.searchsorted(rows, leads)), sets.take(np.searchsorted(rows, followers))
            likenesses = jaccard_likenesses(one, other)
            enough = likenesses >= least
            yield from zip(leads[enough].tolist(), followers[enough].tolist(), likenesses[enough].tolist(), strict=True)

    def first_matches(self, leads: Mask, probes: Mask, threshold: float) -> dict[int, Match]:
        """The smallest lead that each probe is like, if there is one."""
        found: dict[int, Match] = {}
        for lead, row, likeness in self.confirmed(self.candidates(leads, probes), threshold):
            found.setdefault(row, Match(lead, likeness))
        return found

    def _chunks(self, pairs: Numbers) -> Iterator[Numbers]:
        """The pairs in turn, as many at a time as fit with their words."""
        counts = self._sketches.word_counts
        start = 0
        while start < len(pairs):
            some = pairs[start : start + _CHUNK_WORDS]
            words = np.cumsum(counts[some // self._rows] + counts[some % self._rows], dtype=np.int64)
            stop = start + max(1, int(np.searchsorted(words, _CHUNK_WORDS)))
            yield pairs[start:stop]
            start = stop


def _bucket_links(hashes: Hashes, leads: Mask, probes: Mask, *, neighbours: bool = False) -> Numbers:
    """(links, 2): each probe with the smallest lead of its hash, if that is smaller; with `neighbours` also each probe
    with the member just before it, if that is a lead."""
    order, same_as_before = _bucket_members(hashes, np.flatnonzero(leads | probes))
    if order.size == 0:
        return np.empty((0, 2), np.int64)
    bucket = np.cumsum(~same_as_before) - 1
    none = np.iinfo(np.int64).max
    smallest = np.minimum.reduceat(np.where(leads[order], order, none), np.flatnonzero(~same_as_before))[bucket]
    linked = (smallest < order) & probes[order]
    links = [np.stack([smallest[linked], order[linked]], axis=1)]
    if neighbours:
        places = np.flatnonzero(same_as_before & probes[order])
        places = places[leads[order[places - 1]]]
        links.append(np.stack([order[places - 1], order[places]], axis=1))
    return np.concatenate(links)


def _bucket_members(hashes: Hashes, members: Numbers) -> tuple[Numbers, Mask]:
    """The members that share their hash with another, bucket by bucket and ascending in each; and where a member is of
    the same bucket as the one before it."""
    members = _likely_sharing(hashes, members)
    of_members = hashes[members]
    order = np.argsort(of_members)
    ordered = of_members[order]
    same = np.zeros(len(members), np.bool_)
    same[1:] = ordered[1:] == ordered[:-1]
    shared = same.copy()
    shared[:-1] |= same[1:]
    sharing, hashes_shared = members[order[shared]], ordered[shared]
    sharing = sharing[np.lexsort((sharing, hashes_shared))]
    return sharing, same[shared]


def _likely_sharing(hashes: Hashes, members: Numbers) -> Numbers:
    """The members that share their hash, but for its lowest bits, with another. The row stands in these bits: to sort
    such numbers takes a fifth of the time of sorting rows by their hashes."""
    bits = np.uint64(len(hashes).bit_length())
    packed = (hashes[members] >> bits << bits) | members.astype(np.uint64)
    packed.sort()
    same = (packed[1:] ^ packed[:-1]) >> bits == 0
    shared = np.zeros(len(packed), np.bool_)
    shared[1:] = same
    shared[:-1] |= same
    return (packed[shared] & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
