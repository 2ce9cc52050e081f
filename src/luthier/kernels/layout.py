"""Where rows lie in a flat batch, and how rows of like length are padded together for attention."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

BUCKET_SLACK = 1.25
"""The longest row of a bucket is at most this many times its shortest, so padding stays below a quarter."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Rows that attention computes together: `rows` rows padded to `length` tokens each.

    gather: [rows * length] index of each padded slot's token in the flat batch (0 in padding).
    slots: [tokens] padded slot of each token of the bucket; tokens: [tokens] its place in the flat batch.
    """

    rows: int
    length: int
    gather: torch.Tensor
    slots: torch.Tensor
    tokens: torch.Tensor


@dataclass(frozen=True, slots=True)
class RowLayout:
    """Rows laid end to end in one flat batch of T tokens.

    position_ids: [T], starting at 0 in each row.
    """

    lengths: tuple[int, ...]
    position_ids: torch.Tensor
    buckets: tuple[Bucket, ...]

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "RowLayout":
        """The layout of rows with these lengths, in this order."""
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        position_ids = torch.cat([torch.arange(length) for length in lengths])
        groups = _by_length(lengths)
        return cls(tuple(lengths), position_ids, tuple(_bucket(group, lengths, starts) for group in groups))


def _by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Row numbers grouped so that each group's lengths lie within BUCKET_SLACK."""
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda row: lengths[row]):
        if groups and lengths[row] <= BUCKET_SLACK * lengths[groups[-1][0]]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return groups


def _bucket(rows: Sequence[int], lengths: Sequence[int], starts: Sequence[int]) -> Bucket:
    longest = max(lengths[row] for row in rows)
    tokens = torch.cat([torch.arange(starts[row], starts[row] + lengths[row]) for row in rows])
    slots = torch.cat([torch.arange(lengths[row]) + place * longest for place, row in enumerate(rows)])
    gather = torch.zeros(len(rows) * longest, dtype=torch.long)
    gather[slots] = tokens
    return Bucket(len(rows), longest, gather, slots, tokens)
