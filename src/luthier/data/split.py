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
    ids: Sequence[str], components: Numbers, strata: Sequence[str], settings: SplitSection
) -> npt.NDArray[np.int8]:
    """The number of the split of each row, see `SPLITS`.

    `components` are those of `components_of`. Each value of `strata`, one a row, has its share of rows in each split,
    as far as components allow; a component counts as the value that most of its rows have.
    """
    if len(ids) == 0:
        return np.empty(0, np.int8)
    order = np.argsort(components, kind="stable")
    starts = np.flatnonzero(np.diff(components[order], prepend=-1))
    names, ranks = np.unique(np.array(ids), return_inverse=True)
    smallest = names[np.minimum.reduceat(ranks[order], starts)]
    sizes = np.diff(np.append(starts, len(order)))
    of_stratum = _component_strata(strata, order, starts)
    places: dict[str, list[int]] = {name: [] for name in sorted(set(of_stratum))}
    draws = [_draw(row_id, settings.seed) for row_id in smallest.tolist()]
    for place in sorted(range(len(starts)), key=draws.__getitem__):
        places[of_stratum[place]].append(place)
    drawn = [place for members in places.values() for place in members]
    chosen = assign_components(
        [sizes[members].tolist() for members in places.values()],
        {"test": settings.test, "validation": settings.validation},
    )
    splits = np.empty(len(starts), np.int8)
    splits[drawn] = [SPLITS.index(split) for split in chosen]
    result = np.empty(len(order), np.int8)
    result[order] = np.repeat(splits, sizes)
    return result


def assign_components(strata: Iterable[Sequence[int]], shares: Mapping[Split, float]) -> list[Split]:
    """Splits of components, given by their sizes in the order drawn, stratum by stratum; gives them in the same order.

    In each stratum, components go to the splits of `shares` until each has its share of the rows; the rest trains. What
    a split lacks or has too much in one stratum is made up for in the next. A component that would overshoot is passed
    over. A split still short at the end takes the smallest component left if that brings it nearer to its share, or if
    it has none yet and there are at least ten components.
    """
    sizes: list[int] = []
    chosen: list[Split] = []
    have = dict.fromkeys(shares, 0)
    for stratum in strata:
        first = len(sizes)
        sizes += stratum
        chosen += ["train"] * len(stratum)
        for split, share in shares.items():
            wanted = round(share * sum(sizes))
            for place in range(first, len(sizes)):
                if have[split] >= wanted:
                    break
                if chosen[place] == "train" and have[split] + sizes[place] <= wanted:
                    chosen[place] = split
                    have[split] += sizes[place]
    for split, share in shares.items():
        many = share > 0 and len(sizes) >= FEW_COMPONENTS
        wanted = max(round(share * sum(sizes)), int(many))
        left = [place for place, taken in enumerate(chosen) if taken == "train"]
        if have[split] >= wanted or len(left) < 2:
            continue
        smallest = min(left, key=sizes.__getitem__)
        nearer = abs(wanted - have[split] - sizes[smallest]) < wanted - have[split]
        if nearer or (have[split] == 0 and many):
            chosen[smallest] = split
    return chosen


def _group_links(groups: Ragged) -> tuple[Numbers, Numbers]:
    """Pairs of rows that share a group: each row with the first of them."""
    rows = np.repeat(np.arange(len(groups.offsets) - 1), groups.lengths)
    _, first, group = np.unique(groups.values, return_index=True, return_inverse=True)
    return rows[first][group], rows


def _component_strata(strata: Sequence[str], order: Numbers, starts: Numbers) -> list[str]:
    """The most frequent stratum of each component; of equally frequent ones the first by name."""
    names, numbers = np.unique(np.array(strata, dtype=np.str_), return_inverse=True)
    if len(names) == 1:
        return [str(names[0])] * len(starts)
    component = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(order))))
    pairs, counts = np.unique(component * len(names) + numbers[order], return_counts=True)
    best = pairs[np.lexsort((pairs, -counts, pairs // len(names)))]
    _, first = np.unique(best // len(names), return_index=True)
    return [str(name) for name in names[best[first] % len(names)]]


def _draw(row_id: str, seed: int) -> bytes:
    """A component's place in the draw depends on the seed and one row alone, not on the rest of the data."""
    return hashlib.sha256(f"{seed}:{row_id}".encode()).digest()
