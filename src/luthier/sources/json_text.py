"""JSON text of any length, value by value."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

from luthier.core.errors import SourceError
from luthier.sources import lines
from luthier.sources.records import without_lone_surrogates

_CHUNK_CHARACTERS = 1 << 16
_INSIDE_A_STRING = ("Unterminated string", "Invalid \\")
_LONGEST_LITERAL = len("-Infinity")
_STRING_TEXT = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BLANK = re.compile(r"[\s\ufeff]*+")
_STRUCTURE = re.compile(r'["\[\]{},]')
_HALF_ESCAPES = ("\\ud", "\\uD")


def _integer(digits: str) -> int | str:
    """Python reads no integer of more than 4,300 digits: such a one stays text."""
    try:
        return int(digits)
    except ValueError:
        return digits


def _finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


_DECODER = json.JSONDecoder(parse_constant=lambda _: None, parse_int=_integer, parse_float=_finite)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A value that was read past, why, and how it starts."""

    error: str
    start: str
    alone: bool


def decode(text: str) -> object:
    """The value of a whole JSON text. NaN and infinities are null; numbers too large for Python stay text.

    Raises json.JSONDecodeError, or RecursionError for one that is nested too deeply.
    """
    value, end = _decode_at(text, len(text) - len(text.lstrip()))
    if text[end:].strip():
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _decode_at(text: str, start: int) -> tuple[object, int]:
    value, end = _DECODER.raw_decode(text, start)
    if any(text.find(half, start, end) >= 0 for half in _HALF_ESCAPES):
        value = without_lone_surrogates(value)
    return value, end


class JsonText:
    """A JSON text that is read from a file in pieces; what was consumed is forgotten.

    All methods raise SourceError with line and column where the text is not valid JSON.
    """

    def __init__(self, handle: TextIO, name: str) -> None:
        self._handle, self._name = handle, name
        self._text, self._position = "", 0
        self._line, self._column = 1, 1  # of the start of `_text`
        self._known_line, self._known_position = 1, 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no white space, left in place; empty at the end."""
        while True:
            found = _BLANK.match(self._text, self._position)
            assert found is not None
            self._position = found.end()
            if self._position < len(self._text) or self._ended:
                return self._text[self._position : self._position + 1]
            self._grow()

    def take(self, allowed: str, expected: str) -> str:
        """The next character, which must be one of `allowed`."""
        character = self.peek()
        if not character or character not in allowed:
            raise self._invalid(expected, self._position)
        self._position += 1
        return character

    def elements(self) -> Iterator[tuple[int, object]]:
        """(line, value) of each element of the array that stands here."""
        self.take("[", "expected an array")
        if self.peek() == "]":
            self._position += 1
            return
        separator = ","
        while separator == ",":
            self.peek()
            yield self._line_here(), self.value("an element")
            separator = self.take(",]", "expected ',' or ']' after an element")

    def names(self) -> Iterator[str]:
        """The names in the object that stands here. The value must be consumed before the next one is asked for."""
        self.take("{", "expected an object")
        if self.peek() == "}":
            self._position += 1
            return
        separator = ","
        while separator == ",":
            if self.peek() != '"':
                raise self._invalid("expected a name in double quotes", self._position)
            key = self.value("a name")
            self.take(":", "expected ':' after a name")
            yield key if isinstance(key, str) else ""
            separator = self.take(",}", "expected ',' or '}' after a value")

    def value(self, what: str) -> object:
        """The value that stands here, or `Skipped` if it is too long or nested too deeply; `what` names it."""
        self.peek()
        while True:
            try:
                value, end = _decode_at(self._text, self._position)
            except json.JSONDecodeError as error:
                cut_off = error.pos >= len(self._text) - _LONGEST_LITERAL or error.msg.startswith(_INSIDE_A_STRING)
                if self._ended or not cut_off:
                    raise self._invalid(error.msg, error.pos) from error
            except RecursionError:
                return self._skip("nested too deeply", alone=False)
            else:
                if end < len(self._text) or self._ended:
                    self._position = end
                    return value
            if len(self._text) - self._position > lines.MAX_CHARACTERS:
                return self._skip(lines.too_long(what), alone=True)
            self._grow()

    def end(self, what: str) -> None:
        """Make sure that nothing follows."""
        if self.peek():
            raise self._invalid(f"extra data after {what}", self._position)

    def _line_here(self) -> int:
        """The line at the present position, counted on from where it was asked for last."""
        self._known_line += self._text.count("\n", self._known_position, self._position)
        self._known_position = self._position
        return self._known_line

    def _grow(self) -> None:
        self._forget()
        chunk = self._handle.read(max(_CHUNK_CHARACTERS, len(self._text)))
        self._ended = not chunk
        self._text += chunk

    def _forget(self) -> None:
        """Let go of what was consumed."""
        self._known_line, self._known_position = self._line_here(), 0
        self._line, self._column = self._place(self._position)
        self._text, self._position = self._text[self._position :], 0

    def _place(self, position: int) -> tuple[int, int]:
        """Line and column, both from 1."""
        breaks = self._text.count("\n", 0, position)
        if not breaks:
            return self._line, self._column + position
        return self._line + breaks, position - self._text.rfind("\n", 0, position)

    def _skip(self, error: str, alone: bool) -> Skipped:
        """Read past the value that stands here, without holding it."""
        start = self._text[self._position : self._position + lines.START_CHARACTERS]
        depth = 0
        while True:
            found = _STRUCTURE.search(self._text, self._position)
            if found is None:
                self._position = len(self._text)
                if self._ended:
                    break
                self._grow()
                continue
            self._position = found.start()
            if depth == 0 and found[0] in ",]}":
                break
            self._position += 1
            if found[0] == '"':
                self._skip_string()
            else:
                depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
            if depth == 0:
                break
        return Skipped(error, start, alone)

    def _skip_string(self) -> None:
        """Read past the rest of a string and its closing quotation mark."""
        while True:
            found = _STRING_TEXT.match(self._text, self._position)
            assert found is not None
            self._position = found.end()
            if self._text[self._position : self._position + 1] == '"':
                self._position += 1
                return
            if self._ended:
                raise self._invalid("Unterminated string", self._position)
            self._grow()

    def _invalid(self, what: str, position: int) -> SourceError:
        line, column = self._place(position)
        where = f"{self._name}, line {line}, column {column}"
        return SourceError(f"not valid JSON: {what.removesuffix(' at')}", where=where)
