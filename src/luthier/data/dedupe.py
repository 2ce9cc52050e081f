"""Exact and near duplicates.

Near duplicates are found by MinHash over runs of five words in 20 bands of 6 hashes (Broder 1997; Leskovec,
Rajaraman and Ullman, Mining of Massive Datasets, chapter 3): a pair of Jaccard likeness 0.8 shares a band with
probability 1 - (1 - 0.8^6)^20 = 99.8 %. A row is dropped only when its exact likeness to a row that is kept confirms
it.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from luthier.data.engine import daft
from luthier.text import jaccard, ngrams, words

NGRAM = 5
BANDS = 20
ROWS_PER_BAND = 6
SIBLING_LIKENESS = 0.8
"""Rows this alike belong to one split, kept though they are."""

Mask = npt.NDArray[np.bool_]
Hashes = npt.NDArray[np.uint64]
Keys = Callable[[Collection[int]], Mapping[int, str]]
"""Looks up the comparison keys of rows by index."""


class Match(NamedTuple):
    """The kept row that a dropped one is like, and how much (Jaccard)."""

    row: int
    likeness: float


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """`matches` of the rows to drop, and pairs of kept rows that are alike."""

    matches: dict[int, Match] = field(default_factory=dict)
    siblings: list[tuple[int, int]] = field(default_factory=list)


def comparison_key(text: str) -> str:
    """What two texts are compared by: their words in lower case, a space between; the bare text if it has no words."""
    return " ".join(words(text)) or text.strip()


def shingle_text(key: str) -> str:
    """What MinHash reads for a key. A text of fewer than five words is compared by its set of words."""
    tokens = key.split(" ")
    return key if len(tokens) >= NGRAM else " ".join(sorted(set(tokens)))


def band_names() -> list[str]:
    return [f"band_{band:02d}" for band in range(BANDS)]


def band_hashes(shingles: "daft.Expression") -> "daft.Expression":
    """Columns `band_00` … of 64-bit hashes, for a column of `shingle_text`."""
    signature = daft.functions.minhash(
        shingles, num_hashes=BANDS * ROWS_PER_BAND, ngram_size=NGRAM, hash_function="xxhash3_64"
    )
    bands = daft.DataType.struct({name: daft.DataType.uint64() for name in band_names()})
    return daft.func.batch(return_dtype=bands, unnest=True, use_process=False)(_fold_bands)(signature)


def _fold_bands(signatures: "daft.Series") -> pa.Array:
    """(rows, BANDS * ROWS_PER_BAND) 32-bit hashes -> BANDS hashes a row."""
    values = signatures.to_arrow().flatten().to_numpy(zero_copy_only=False).astype(np.uint64)
    values = values.reshape(-1, BANDS, ROWS_PER_BAND)
    folded = np.zeros(values.shape[:2], np.uint64)
    for place in range(ROWS_PER_BAND):
        folded = (folded ^ values[:, :, place]) * np.uint64(0x9E3779B97F4A7C15)
        folded ^= folded >> np.uint64(29)
    return pa.StructArray.from_arrays([pa.array(folded[:, band]) for band in range(BANDS)], names=band_names())


def exact_duplicates(hashes: Hashes, eligible: Mask, present: Mask) -> dict[int, int]:
    """{row: the first eligible row of the same hash, which comes before it} among the rows present."""
    links = _bucket_links(hashes, eligible, present)
    return {row: lead for lead, row in links.tolist()}


def near_duplicates(bands: Path, keys: Keys, eligible: Mask, present: Mask, threshold: float | None) -> NearDuplicates:
    """Find the rows present that are like an earlier eligible row that is kept; with threshold None none is dropped.

    `bands` is a Parquet file with the columns `band_names()`, read one at a time: memory holds 8 bytes a row, and the
    keys of candidates. Rows of a bucket are linked to its smallest row and to the one before; since these may be
    dropped themselves, rounds over the rows still kept follow until one drops nothing.
    """
    kept = eligible.copy()
    matches: dict[int, Match] = {}
    alike: list[tuple[int, int]] = []
    judged: set[tuple[int, int]] = set()
    dropping = True
    while dropping:
        dropping = False
        pairs = _candidates(bands, kept, kept) - judged
        judged |= pairs
        for lead, row, likeness in _likenesses(pairs, keys):
            if threshold is not None and likeness >= threshold and kept[lead] and kept[row]:
                matches[row] = Match(lead, likeness)
                kept[row], dropping = False, True
            elif likeness >= SIBLING_LIKENESS:
                alike.append((lead, row))
    if threshold is not None:
        for lead, row, likeness in _likenesses(_candidates(bands, kept, present & ~eligible), keys):
            if likeness >= threshold:
                matches.setdefault(row, Match(lead, likeness))
    return NearDuplicates(matches, [(lead, row) for lead, row in alike if kept[lead] and kept[row]])


def _candidates(bands: Path, leads: Mask, probes: Mask) -> set[tuple[int, int]]:
    """(lead, row) that share a band."""
    links = []
    for name in band_names():
        hashes = pq.read_table(bands, columns=[name])[name].to_numpy()
        links.append(_bucket_links(hashes, leads, probes, neighbours=True))
    return {(lead, row) for lead, row in np.unique(np.concatenate(links), axis=0).tolist()}


def _bucket_links(hashes: Hashes, leads: Mask, probes: Mask, *, neighbours: bool = False) -> npt.NDArray[np.int64]:
    """(links, 2): each probe with the smallest lead of its hash, if that is smaller; with `neighbours` also each probe
    with the member just before it, if that is a lead."""
    members = np.flatnonzero(leads | probes)
    order = members[np.argsort(hashes[members], kind="stable")]
    if order.size == 0:
        return np.empty((0, 2), np.int64)
    same_as_before = np.concatenate([[False], hashes[order[1:]] == hashes[order[:-1]]])
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


def _likenesses(pairs: Collection[tuple[int, int]], keys: Keys) -> Iterator[tuple[int, int, float]]:
    """(lead, row, exact Jaccard) in the order of leads, so that a lead's own fate is settled before its rows'."""
    texts = keys({index for pair in pairs for index in pair})
    for lead, group in groupby(sorted(pairs), key=lambda pair: pair[0]):
        lead_shingles = _shingles(texts[lead])
        for _, row in group:
            yield lead, row, jaccard(lead_shingles, _shingles(texts[row]))


def _shingles(key: str) -> frozenset[tuple[str, ...]]:
    return ngrams(key.split(" "), NGRAM)
