"""Rows that are longer than a model is trained on, made shorter where that leaves something whole."""

import re
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from luthier.core.rows import Row

_SENTENCE_END = re.compile(r"""[.!?…]+["'”’)\]]*(?=\s)|[。！？]+[”’」』）]*|\n""")
_WORD_END = re.compile(r"\S(?=\s)")


def shorten(row: Row, fits: Callable[[Row], bool]) -> Row | None:
    """As much of a row as `fits`, or None if no part that makes sense does. What fits must fit when it is shorter, too.

    A conversation loses its oldest exchanges whole, see `_cut_conversation`, plain text its end, see `_cut_text`.
    Everything else about the row stays, its id included.
    """
    return _cut_conversation(row, fits) if row.messages else _cut_text(row, fits)


def _cut_conversation(row: Row, fits: Callable[[Row], bool]) -> Row | None:
    """The system turns that open it, and the last exchanges, whole; one goes from a user turn to the next."""
    roles = [message["role"] for message in row.messages]
    opening = next((place for place, role in enumerate(roles) if role != "system"), len(roles))
    starts = [place for place, role in enumerate(roles) if role == "user" and place > opening]

    def cut(start: int) -> Row:
        return replace(row, messages=(*row.messages[:opening], *row.messages[start:]))

    count = _fitting(starts[::-1], lambda start: fits(cut(start)))
    return cut(starts[-count]) if count else None


def _cut_text(row: Row, fits: Callable[[Row], bool]) -> Row | None:
    """The first sentences or lines; where the next one is longer than all before it, also its first words."""

    def cut(end: int) -> Row:
        return replace(row, text=row.text[:end].rstrip())

    def longest(pattern: re.Pattern[str], start: int, stop: int) -> int:
        """The last place where the pattern ends in this part of the text, such that what is before fits; or `start`."""
        ends = [start, *(found.end() for found in pattern.finditer(row.text, start, stop))]
        return ends[_fitting(ends[1:], lambda end: fits(cut(end)))]

    end = longest(_SENTENCE_END, 0, len(row.text))
    following = _SENTENCE_END.search(row.text, end)
    stop = following.end() if following else len(row.text)
    if stop - end > end:
        end = longest(_WORD_END, end, stop)
    return cut(end) if row.text[:end].strip() else None


def _fitting(places: Sequence[int], fits: Callable[[int], bool]) -> int:
    """How many of the places fit, where those that do come first."""
    return bisect_left(places, True, key=lambda place: not fits(place))
