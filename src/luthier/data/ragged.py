"""Many short runs of hashes in one array, and how alike two of them are, without a Python loop over them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
ShortHashes = npt.NDArray[np.uint32]
Numbers = npt.NDArray[np.int64]

_BLOCK_VALUES = 1 << 20


class Ragged(NamedTuple):
    """Run i is `values[offsets[i]:offsets[i + 1]]`; `offsets` has length runs + 1 and begins with 0.

    `values` are `Hashes`, or `ShortHashes` where these tell enough apart.
    """

    values: npt.NDArray[np.unsignedinteger[Any]]
    offsets: Numbers

    @property
    def lengths(self) -> Numbers:
        return np.diff(self.offsets)

    def take(self, runs: Numbers) -> "Ragged":
        """The runs of these numbers, in this order."""
        lengths = self.lengths[runs]
        return Ragged(self.values[_places(self.offsets[runs], lengths)], offsets_of(lengths))


def offsets_of(lengths: npt.NDArray[np.integer]) -> Numbers:
    """Where runs of these lengths begin and the last one ends, end to end."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])


def joined(parts: list[Ragged]) -> Ragged:
    """All runs of the parts, one part after the other."""
    lengths = np.concatenate([part.lengths for part in parts]) if parts else np.empty(0, np.int64)
    values = np.concatenate([part.values for part in parts]) if parts else np.empty(0, np.uint64)
    return Ragged(values, offsets_of(lengths))


def distinct(ragged: Ragged) -> Ragged:
    """Each run as a set: sorted, every value once."""
    counts = np.zeros(len(ragged.offsets) - 1, np.int64)
    blocks = []
    for runs, values, first in _sorted_blocks(ragged):
        counts[runs] = first.sum(axis=1)
        blocks.append((runs, values[first]))
    offsets = offsets_of(counts)
    result = np.empty(offsets[-1], ragged.values.dtype)
    for runs, values in blocks:
        result[_places(offsets[runs], counts[runs])] = values
    return Ragged(result, offsets)


def jaccard_likenesses(one: Ragged, other: Ragged) -> npt.NDArray[np.float64]:
    """|A ∩ B| / |A ∪ B| of run i of the one and run i of the other, all of them `distinct` and of one width; 1 for two
    empty ones."""
    sizes = one.lengths + other.lengths
    offsets = offsets_of(sizes)
    values = np.empty(offsets[-1], one.values.dtype)
    values[_places(offsets[:-1], one.lengths)] = one.values
    values[_places(offsets[:-1] + one.lengths, other.lengths)] = other.values
    union = np.zeros(len(sizes), np.int64)
    for runs, _, first in _sorted_blocks(Ragged(values, offsets)):
        union[runs] = first.sum(axis=1)
    return np.where(union > 0, (sizes - union) / np.maximum(union, 1), 1.0)


def _places(starts: Numbers, lengths: Numbers) -> Numbers:
    """Positions start, start + 1, … of each run, one run after the other."""
    before = offsets_of(lengths)
    return np.arange(before[-1]) + np.repeat(starts - before[:-1], lengths)


def _sorted_blocks(
    ragged: Ragged,
) -> Iterator[tuple[Numbers, npt.NDArray[np.unsignedinteger[Any]], npt.NDArray[np.bool_]]]:
    """Runs of similar length as the rows of a sorted matrix, with where each value of a run stands first.

    Yields (numbers of the runs, matrix, mask); what fills up a row is not in the mask.
    """
    lengths = ragged.lengths
    filled = np.flatnonzero(lengths)
    step = 1 << np.maximum(np.log2(lengths[filled]).astype(np.int64) - 2, 0)
    widths = -(-lengths[filled] // step) * step
    for width in np.unique(widths):
        of_width = filled[widths == width]
        rows = max(1, _BLOCK_VALUES // int(width))
        for start in range(0, len(of_width), rows):
            runs = of_width[start : start + rows]
            columns = np.arange(width)
            inside = columns < lengths[runs, None]
            places = np.minimum(ragged.offsets[runs, None] + columns, len(ragged.values) - 1)
            matrix = np.where(inside, ragged.values[places], np.iinfo(ragged.values.dtype).max)
            matrix.sort(axis=1)
            inside[:, 1:] &= matrix[:, 1:] != matrix[:, :-1]
            yield runs, matrix, inside
