"""Rows into packs of a fixed number of tokens, none of them cut."""

import bisect
from collections.abc import Sequence


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Numbers of the rows in each pack, by best-fit-decreasing.

    Rows are taken from the longest to the shortest; each goes into the fullest pack that still has room, or opens a
    new one. Uses at most 11/9 of the fewest possible packs, plus four (Johnson 1973). Raises ValueError for a row
    longer than `capacity`.
    """
    packs: list[list[int]] = []
    rooms: list[tuple[int, int]] = []
    """(tokens left, pack number), sorted: the fullest pack that fits is the first with enough room."""
    for row in sorted(range(len(lengths)), key=lambda row: -lengths[row]):
        length = lengths[row]
        if length > capacity:
            raise ValueError(f"row {row} has {length} tokens, a pack only {capacity}")
        place = bisect.bisect_left(rooms, (length, -1))
        if place == len(rooms):
            packs.append([])
            room, number = capacity, len(packs) - 1
        else:
            room, number = rooms.pop(place)
        packs[number].append(row)
        if room - length:
            bisect.insort(rooms, (room - length, number))
    return packs
