"""JSON and JSON lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources.encoding import open_text
from luthier.sources.records import Record, as_record

_CHUNK_CHARACTERS = 1 << 16
_TURN_KEYS = frozenset({"role", "from", "speaker"})
_DECODER = json.JSONDecoder(parse_constant=lambda _: None)
_INSIDE_A_STRING = ("Unterminated string", "Invalid \\")
_LONGEST_LITERAL = len("-Infinity")


def read_json_lines(path: Path, name: str) -> Iterator[Record]:
    """One record a line, its row being the line's number; blank lines are none."""
    with open_text(path) as handle:
        for line, text in enumerate(handle, start=1):
            if text.strip():
                yield _read_line(text.strip(), Origin(name, line), line)


def read_json(path: Path, name: str) -> Iterator[Record]:
    """Records of an array (streamed), or of the one array inside an object (read whole), or JSON lines after all.

    Raises SourceError naming line and column where the file is not valid JSON, or holds several arrays.
    """
    with open_text(path) as handle:
        start = _skip_blank(handle)
    if start == "[":
        with open_text(path) as handle:
            for row, (line, value) in enumerate(_array_elements(handle, name), start=1):
                yield as_record(value, Origin(name, row), line)
    elif _has_lines(path):
        yield from read_json_lines(path, name)
    else:
        for row, value in enumerate(_records_inside(path, name), start=1):
            yield as_record(value, Origin(name, row), 1)


def _read_line(text: str, origin: Origin, line: int) -> Record:
    try:
        return as_record(_decode(text), origin, line, text)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        return Record(origin, line, {}, f"not valid JSON: {what} at column {error.colno}", text)
    except (RecursionError, ValueError) as error:
        return Record(origin, line, {}, f"not valid JSON: {error}", text)


def _decode(text: str) -> object:
    value, end = _DECODER.raw_decode(text)
    if text[end:].strip():
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def _skip_blank(handle: TextIO) -> str:
    while character := handle.read(1):
        if not character.isspace():
            return character
    return ""


def _has_lines(path: Path) -> bool:
    """Whether the first line is a whole object and another follows."""
    with open_text(path) as handle:
        filled = (line for line in handle if line.strip())
        first, second = next(filled, ""), next(filled, "")
    if not second.lstrip().startswith("{"):
        return False
    try:
        _decode(first.strip())
    except ValueError:
        return False
    return True


def _records_inside(path: Path, name: str) -> list[object]:
    with open_text(path) as handle:
        text = handle.read()
    try:
        root = _decode(text.strip())
    except json.JSONDecodeError as error:
        raise _invalid(error.msg, name, error.lineno, error.colno) from error
    except (RecursionError, ValueError) as error:
        raise SourceError(f"not valid JSON: {error}", where=name) from error
    if not isinstance(root, dict):
        return [root]
    if isinstance(root.get("data"), list):
        return list(root["data"])
    arrays = {key: value for key, value in root.items() if isinstance(value, list) and not _are_turns(value)}
    if len(arrays) > 1:
        raise SourceError(
            f"holds several arrays: {', '.join(arrays)}",
            where=name,
            allowed='an array of records, an object with one array, or {"data": [...]}',
        )
    return list(next(iter(arrays.values()))) if arrays else [root]


def _are_turns(items: list[object]) -> bool:
    return bool(items) and all(isinstance(item, dict) and not _TURN_KEYS.isdisjoint(item) for item in items)


def _invalid(what: str, name: str, line: int, column: int | None = None) -> SourceError:
    place = f"{name}, line {line}" + (f", column {column}" if column else "")
    return SourceError(f"not valid JSON: {what.removesuffix(' at')}", where=place)


class _Window:
    """The part of a long JSON text that is being decoded, with the line it starts at."""

    def __init__(self, handle: TextIO) -> None:
        self._handle = handle
        self.text = ""
        self.line = 1
        self.ended = False

    def grow(self) -> None:
        chunk = self._handle.read(max(_CHUNK_CHARACTERS, len(self.text)))
        self.ended = not chunk
        self.text += chunk

    def drop(self, characters: int) -> None:
        self.line += self.text.count("\n", 0, characters)
        self.text = self.text[characters:]

    def next_character(self) -> str:
        """The next one that is no white space, left in place; empty at the end."""
        while True:
            blank = len(self.text) - len(self.text.lstrip())
            self.drop(blank)
            if self.text or self.ended:
                return self.text[:1]
            self.grow()


def _array_elements(handle: TextIO, name: str) -> Iterator[tuple[int, object]]:
    window = _Window(handle)
    window.next_character()
    window.drop(1)
    if window.next_character() == "]":
        return
    while True:
        window.next_character()
        line = window.line
        yield line, _next_value(window, name)
        separator = window.next_character()
        if separator not in (",", "]"):
            raise _invalid("expected ',' or ']' after an element", name, window.line)
        window.drop(1)
        if separator == "]":
            break
    if window.next_character():
        raise _invalid("extra data after the array", name, window.line)


def _next_value(window: _Window, name: str) -> object:
    while True:
        try:
            value, end = _DECODER.raw_decode(window.text)
        except json.JSONDecodeError as error:
            cut_off = error.pos >= len(window.text) - _LONGEST_LITERAL or error.msg.startswith(_INSIDE_A_STRING)
            if window.ended or not cut_off:
                raise _invalid(error.msg, name, window.line + error.lineno - 1, error.colno) from error
        except (RecursionError, ValueError) as error:
            raise _invalid(str(error), name, window.line) from error
        else:
            if end < len(window.text) or window.ended:
                window.drop(end)
                return value
        window.grow()
