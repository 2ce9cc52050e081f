"""Splits by connected component, so that rows that belong together never straddle."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luthier.core.recipe import SplitSection
from luthier.core.rows import SPLITS, Split
from luthier.data.ragged import Numbers, Ragged
from luthier.data.word_sets import JoinedSets, find_alike

FEW_COMPONENTS = 10
"""From this many components on, every split with a share gets at least one."""


@dataclass(frozen=True, slots=True)
class Bonds:
    """What keeps rows together, beyond words: hashes of the groups that each row is in, and pairs of rows."""

    groups: Ragged
    pairs: Numbers
    """(pairs, 2)."""


def components_of(words: Ragged, bonds: Bonds) -> Numbers:
    """(rows,): for each row the smallest row of those that it must stay with.

    Together are rows of one group, bonded pairs, and rows whose sets of `words` are at least 0.8 alike (Jaccard).
    """
    one, other = _group_links(bonds.groups)
    one, other = np.concatenate([one, bonds.pairs[:, 0]]), np.concatenate([other, bonds.pairs[:, 1]])
    joined = JoinedSets.of(len(words.offsets) - 1, one, other)
    find_alike(words, joined)
    return joined.labels


def split_rows(
    ids: npt.NDArray[np.bytes_], components: Numbers, strata: Numbers, settings: SplitSection
) -> npt.NDArray[np.int8]:
    """The number of the split of each row, see `SPLITS`.

    `components` are those of `components_of`. Each number of `strata`, one a row, has its share of rows in each split,
    as far as components allow; a component counts as the number that most of its rows have. Memory: about 80 bytes a
    row.
    """
    if len(ids) == 0:
        return np.empty(0, np.int8)
    order = np.argsort(ids, kind="stable")
    order = order[np.argsort(components[order], kind="stable")]
    starts = np.flatnonzero(np.diff(components[order], prepend=-1))
    sizes = np.diff(np.append(starts, len(order)))
    of_stratum = _component_strata(strata, order, starts)
    drawn = np.argsort(_draws(ids[order[starts]], settings.seed), kind="stable")
    drawn = drawn[np.argsort(of_stratum[drawn], kind="stable")]
    splits = np.empty(len(starts), np.int8)
    splits[drawn] = assign_components(
        np.split(sizes[drawn], np.flatnonzero(np.diff(of_stratum[drawn])) + 1),
        {"test": settings.test, "validation": settings.validation},
    )
    result = np.empty(len(order), np.int8)
    result[order] = np.repeat(splits, sizes)
    return result


def assign_components(strata: Sequence[Numbers], shares: Mapping[Split, float]) -> npt.NDArray[np.int8]:
    """Splits of components, given by their sizes in the order drawn, stratum by stratum; gives the numbers of the
    splits in `SPLITS` in the same order.

    In each stratum, components go to the splits of `shares` until each has its share of the rows; the rest trains. What
    a split lacks or has too much in one stratum is made up for in the next. A component that would overshoot is passed
    over. A split still short at the end takes the smallest component left if that brings it nearer to its share, or if
    it has none yet and there are at least ten components.
    """
    train = SPLITS.index("train")
    sizes = np.concatenate(strata)
    chosen = np.full(len(sizes), train, np.int8)
    have = dict.fromkeys(shares, 0)
    first = rows = 0
    for stratum in strata:
        rows += int(stratum.sum())
        of_stratum = chosen[first : first + len(stratum)]
        for split, share in shares.items():
            wanted = round(share * rows)
            for place, size in enumerate(stratum.tolist() if have[split] < wanted else ()):
                if have[split] >= wanted:
                    break
                if of_stratum[place] == train and have[split] + size <= wanted:
                    of_stratum[place] = SPLITS.index(split)
                    have[split] += size
        first += len(stratum)
    for split, share in shares.items():
        many = share > 0 and len(sizes) >= FEW_COMPONENTS
        wanted = max(round(share * rows), int(many))
        left = np.flatnonzero(chosen == train)
        if have[split] >= wanted or len(left) < 2:
            continue
        smallest = left[np.argmin(sizes[left])]
        nearer = abs(wanted - have[split] - sizes[smallest]) < wanted - have[split]
        if nearer or (have[split] == 0 and many):
            chosen[smallest] = SPLITS.index(split)
    return chosen


def ranks_of(batches: Iterable[Iterable[str]]) -> Numbers:
    """For each text the rank of its value, in the order of names, among all values that there are."""
    codes: dict[str, int] = {}
    numbers = [np.array([codes.setdefault(text, len(codes)) for text in batch], np.int64) for batch in batches]
    ranks = np.empty(len(codes), np.int64)
    ranks[[codes[text] for text in sorted(codes)]] = np.arange(len(codes))
    return np.asarray(ranks[np.concatenate([np.empty(0, np.int64), *numbers])])


def _group_links(groups: Ragged) -> tuple[Numbers, Numbers]:
    """Pairs of rows that share a group: each row with the first of them."""
    rows = np.repeat(np.arange(len(groups.offsets) - 1), groups.lengths)
    _, first, group = np.unique(groups.values, return_index=True, return_inverse=True)
    return rows[first][group], rows


def _component_strata(strata: Numbers, order: Numbers, starts: Numbers) -> Numbers:
    """The most frequent stratum of each component; of equally frequent ones the smallest."""
    count = int(strata.max()) + 1
    if count == 1:
        return np.zeros(len(starts), np.int64)
    component = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    pairs, counts = np.unique(component * count + strata[order], return_counts=True)
    best = pairs[np.lexsort((pairs, -counts, pairs // count))]
    _, first = np.unique(best // count, return_index=True)
    return np.asarray(best[first] % count)


def _draws(row_ids: npt.NDArray[np.bytes_], seed: int) -> npt.NDArray[np.bytes_]:
    """SHA-256 digests. A component's place in the draw depends on the seed and one row alone, not on the rest of the
    data."""
    start = f"{seed}:".encode()
    return np.fromiter((hashlib.sha256(start + row_id).digest() for row_id in row_ids), "S32", len(row_ids))
