"""Where rows lie in a flat batch, and how rows of like length are padded together for attention."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch

BUCKET_SLACK = 1.25
"""The longest row of a bucket is at most this many times its shortest, so padding stays below a quarter."""
BUCKET_SCORES = 2**19
"""A bucket has no more scores a head than this, unless one row has: they are to stay in the processor's cache."""


class Prefix(NamedTuple):
    """What stands before a row and is computed once for many: `length` tokens, the first of them at `start`."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Rows that attention computes together: `rows` rows padded to `length` tokens each, after the same prefix.

    tokens: [rows, length] where each padded place's token lies in the flat batch, -1 in padding.
    """

    rows: int
    length: int
    prefix: Prefix | None
    tokens: torch.Tensor

    @property
    def prefix_length(self) -> int:
        return self.prefix.length if self.prefix else 0


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Rows laid end to end in one flat batch of T tokens, the keys of which stand after `before` others.

    position_ids: [T], starting at 0 in each row, or after its prefix. Prefixes count tokens from the first of `before`.
    """

    lengths: tuple[int, ...]
    before: int
    position_ids: torch.Tensor
    buckets: tuple[Bucket, ...]

    @classmethod
    def of(
        cls, lengths: Sequence[int], prefixes: Sequence[Prefix | None] | None = None, before: int = 0
    ) -> "RowLayout":
        """The layout of rows with these lengths, in this order, each of which may stand after a prefix."""
        prefixes = prefixes or [None] * len(lengths)
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        position_ids = torch.cat(
            [
                torch.arange(length) + (prefix.length if prefix else 0)
                for length, prefix in zip(lengths, prefixes, strict=True)
            ]
        )
        groups = _alike(lengths, prefixes)
        buckets = tuple(_bucket(group, lengths, starts, prefixes[group[0]]) for group in groups)
        return cls(tuple(lengths), before, position_ids, buckets)


def _alike(lengths: Sequence[int], prefixes: Sequence[Prefix | None]) -> list[list[int]]:
    """Row numbers grouped by prefix, and so that each group's lengths lie within BUCKET_SLACK."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: (prefixes[row] or (), lengths[row])):
        first = groups[-1][0] if groups else None
        if first is not None and prefixes[row] == prefixes[first] and lengths[row] <= BUCKET_SLACK * lengths[first]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return [part for group in groups for part in _parts(group, lengths, prefixes[group[0]])]


def _parts(group: list[int], lengths: Sequence[int], prefix: Prefix | None) -> list[list[int]]:
    """The group in parts, each with at most BUCKET_SCORES scores a head, if not of one row."""
    longest = lengths[group[-1]]
    size = max(1, BUCKET_SCORES // (longest * (longest + (prefix.length if prefix else 0))))
    cuts = [*range(0, len(group), size), len(group)]
    return [group[start:end] for start, end in pairwise(cuts)]


def _bucket(rows: Sequence[int], lengths: Sequence[int], starts: Sequence[int], prefix: Prefix | None) -> Bucket:
    longest = max(lengths[row] for row in rows)
    tokens = torch.full((len(rows), longest), -1)
    for place, row in enumerate(rows):
        tokens[place, : lengths[row]] = torch.arange(starts[row], starts[row] + lengths[row])
    return Bucket(len(rows), longest, prefix, tokens)
