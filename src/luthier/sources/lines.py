"""Lines of text, none of which is ever held in memory beyond a limit."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TextIO

MAX_CHARACTERS = 64 << 20
"""Longest record that is read, in characters: a line, an element of a JSON array, a row of a CSV, a document."""
START_CHARACTERS = 1_000
"""How much of a longer one is kept, to show where it stood."""
_PIECE_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line over the limit: how it starts, how long it is, and how many quotation marks (") it holds."""

    start: str
    characters: int
    quotes: int


def bounded_lines(handle: TextIO) -> Iterator[str | LongLine]:
    """The lines of a file, with their ends; a line over `MAX_CHARACTERS` is read past and told of.

    `handle` is opened with `newline=""`, or has `\\n` for every line end.
    """
    for line in iter(partial(handle.readline, MAX_CHARACTERS), ""):
        if len(line) < MAX_CHARACTERS or line.endswith(("\n", "\r")):
            yield line
        else:
            yield _read_past(handle, line)


def too_long(what: str) -> str:
    """The words for a record that goes beyond the limit; `what` is a line, an element, …"""
    return f"{what} of more than {MAX_CHARACTERS:,} characters"


def _read_past(handle: TextIO, line: str) -> LongLine:
    start, characters, quotes = line[:START_CHARACTERS], len(line), line.count('"')
    while piece := handle.readline(_PIECE_CHARACTERS):
        characters += len(piece)
        quotes += piece.count('"')
        if piece.endswith(("\n", "\r")):
            break
    return LongLine(start, characters, quotes)
