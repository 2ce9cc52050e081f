"""Tokens that several rows open with, found so that they are computed once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from luthier.core.rows import TokenRow

SHORTEST_PREFIX = 8
"""Shorter ones save less than they cost."""


@dataclass(frozen=True, slots=True)
class SharedPrefix:
    """What `rows`, places in a sequence of rows, open with. No row has a target in it or right behind it."""

    tokens: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """Rows of one forward pass, and what some of them share."""

    rows: tuple[TokenRow, ...]
    prefixes: tuple[SharedPrefix, ...]


def shared_prefixes(rows: Sequence[TokenRow]) -> tuple[SharedPrefix, ...]:
    """The prefixes that save most tokens, where each row has one at most."""
    keys = {place: row.input_ids[: _shareable(row)] for place, row in enumerate(rows)}
    order = sorted((place for place in keys if len(keys[place]) >= SHORTEST_PREFIX), key=keys.__getitem__)
    alike = [_common(keys[a], keys[b]) for a, b in pairwise(order)]
    chosen = _chosen(alike, 0, len(order))[1] if order else []
    return tuple(
        SharedPrefix(keys[order[start]][:length], tuple(sorted(order[start:end]))) for start, end, length in chosen
    )


def passes(rows: Sequence[TokenRow], most_tokens: int) -> Iterator[Pass]:
    """The rows in forward passes of at most so many tokens each, those of a prefix together.

    A pass is larger where one row is, or where all the rows of one prefix are: nothing else is in that one.
    """
    prefixes = shared_prefixes(rows)
    of_prefixes = [(prefix, [rows[place] for place in prefix.rows]) for prefix in prefixes]
    alone = set(range(len(rows))) - {place for prefix in prefixes for place in prefix.rows}
    units = [*of_prefixes, *((None, [rows[place]]) for place in sorted(alone))]
    open_rows: list[TokenRow] = []
    open_prefixes: list[SharedPrefix] = []
    room = most_tokens
    for prefix, members in sorted(units, key=lambda unit: -_tokens(*unit)):
        tokens = _tokens(prefix, members)
        if open_rows and tokens > room:
            yield Pass(tuple(open_rows), tuple(open_prefixes))
            open_rows, open_prefixes, room = [], [], most_tokens
        if prefix:
            places = tuple(range(len(open_rows), len(open_rows) + len(members)))
            open_prefixes.append(SharedPrefix(prefix.tokens, places))
        open_rows += members
        room -= tokens
    if open_rows:
        yield Pass(tuple(open_rows), tuple(open_prefixes))


def _tokens(prefix: SharedPrefix | None, rows: Sequence[TokenRow]) -> int:
    """What is computed for rows that share a prefix."""
    length = len(prefix.tokens) if prefix else 0
    return length + sum(len(row) - length for row in rows)


def _shareable(row: TokenRow) -> int:
    """How many tokens of the row may be computed elsewhere: the one that predicts its first target may not."""
    first = row.targets.index(True) if any(row.targets) else len(row)
    return max(0, first - 1)


def _common(a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """How many tokens both open with."""
    for place, (one, other) in enumerate(zip(a, b, strict=False)):
        if one != other:
            return place
    return min(len(a), len(b))


def _chosen(alike: Sequence[int], start: int, end: int) -> tuple[int, list[tuple[int, int, int]]]:
    """(tokens saved, the groups (first, end, length)) among sorted rows `start` to `end`, where `alike[i]` tokens are
    common to rows i and i + 1: either all of them share what all have in common, or the parts between which they have
    least in common choose for themselves."""
    if end - start < 2:
        return 0, []
    length = min(alike[start : end - 1])
    cuts = [place + 1 for place in range(start, end - 1) if alike[place] == length]
    saved, groups = 0, []
    for first, last in zip([start, *cuts], [*cuts, end], strict=True):
        of_part, in_part = _chosen(alike, first, last)
        saved += of_part
        groups += in_part
    together = (end - start - 1) * length if length >= SHORTEST_PREFIX else 0
    return (together, [(start, end, length)]) if together > saved else (saved, groups)
