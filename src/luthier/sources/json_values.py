"""JSON and JSON lines."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.encoding import open_text
from luthier.sources.json_text import JsonText, Skipped, decode
from luthier.sources.records import Record, as_record

_TURN_KEYS = frozenset({"role", "from", "speaker"})
_COMMENT_KEYS = (frozenset({"author_id", "public"}), frozenset({"incoming", "private"}))
"""What comments in a ticket have, in the words of two help desks."""
_RECORDS_KEY = "data"
_TICKET_KEYS = ("tickets", "conversations")
"""Arrays of records of help desks, which exports put beside others, such as the users in them."""
_PEOPLE_KEY = "users"
_PEOPLE_FIELDS = ("id", "role", "name")


def read_json_lines(path: Path, name: str) -> Iterator[Record]:
    """One record a line, its row being the line's number; blank lines are none.

    A file that begins as one array over several lines is read as `read_json` does.
    """
    if _begins_an_array(path):
        yield from read_json(path, name)
        return
    with open_text(path) as handle:
        for number, line in enumerate(lines.bounded_lines(handle), start=1):
            origin = Origin(name, number)
            if isinstance(line, lines.LongLine):
                yield Record(origin, number, {}, lines.too_long("a line"), line.start, alone=True)
            elif text := line.strip():
                yield _read_line(text, origin, number)


def read_json(path: Path, name: str) -> Iterator[Record]:
    """Records of an array, of the one array inside an object, or JSON lines after all; streamed.

    Raises SourceError naming line and column where the file is not valid JSON, or holds several arrays of records.
    """
    with open_text(path) as handle:
        text = JsonText(handle, name)
        if text.peek() == "[":
            for row, (line, value) in enumerate(text.elements(), start=1):
                yield _as_record(value, Origin(name, row), line)
            text.end("the array")
            return
    if _has_lines(path):
        yield from read_json_lines(path, name)
    else:
        yield from _read_object(path, name)


def _read_line(text: str, origin: Origin, line: int) -> Record:
    try:
        return as_record(decode(text), origin, line, text)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        return Record(origin, line, {}, f"not valid JSON: {what} at column {error.colno}", text)
    except RecursionError as error:
        return Record(origin, line, {}, f"not valid JSON: {error}", text)


def _as_record(value: object, origin: Origin, line: int) -> Record:
    if isinstance(value, Skipped):
        return Record(origin, line, {}, value.error, value.start, value.alone)
    return as_record(value, origin, line)


def _begins_an_array(path: Path) -> bool:
    """Whether the first line opens an array that it does not close."""
    first, _ = _first_lines(path)
    return first.startswith("[") and not _is_whole(first)


def _has_lines(path: Path) -> bool:
    """Whether the first line is a whole object, or too long to tell, and another one follows."""
    first, second = _first_lines(path)
    return second.startswith("{") and (not first or _is_whole(first))


def _first_lines(path: Path) -> tuple[str, str]:
    """The first two lines that are not blank, without space around them; empty for one that is too long or missing."""
    found: list[str] = []
    with open_text(path) as handle:
        for line in lines.bounded_lines(handle):
            if isinstance(line, lines.LongLine):
                found.append("")
            elif text := line.strip():
                found.append(text)
            if len(found) == 2:
                return found[0], found[1]
    return (found[0] if found else ""), ""


def _is_whole(text: str) -> bool:
    try:
        decode(text)
    except (ValueError, RecursionError):
        return False
    return True


@dataclass(slots=True)
class _Array:
    """What stands in one array of an object."""

    filled: bool = False
    records: bool = False
    """Some element is an object."""
    turns: bool = True
    """Every element is an object that names a speaker, or a comment in a ticket."""

    def add(self, element: object) -> None:
        self.filled = True
        self.records |= isinstance(element, dict | Skipped)
        self.turns &= isinstance(element, dict) and _is_said(element)


def _is_said(element: Mapping[str, object]) -> bool:
    return not _TURN_KEYS.isdisjoint(element) or any(keys <= element.keys() for keys in _COMMENT_KEYS)


def _read_object(path: Path, name: str) -> Iterator[Record]:
    """Records of the one array of them in an object, which is read twice; without such an array, the object itself."""
    key = _records_key(path, name)
    people = _people(path, name) if key == "tickets" else {}
    with open_text(path) as handle:
        text = JsonText(handle, name)
        if key is None:
            yield _as_record(text.value("an object"), Origin(name, 1), 1)
            return
        row = 0
        for found in text.names():
            if found != key or text.peek() != "[":
                text.value("a value")
                continue
            for line, value in text.elements():
                row += 1
                yield _as_record(_with_people(value, people), Origin(name, row), line)


def _people(path: Path, name: str) -> dict[object, Mapping[str, object]]:
    """The users that an export of tickets lists beside them, by id."""
    people: dict[object, Mapping[str, object]] = {}
    with open_text(path) as handle:
        text = JsonText(handle, name)
        for found in text.names():
            if found != _PEOPLE_KEY or text.peek() != "[":
                text.value("a value")
                continue
            for _, value in text.elements():
                if isinstance(value, dict) and isinstance(value.get("id"), int | str):
                    people[value["id"]] = {field: value.get(field) for field in _PEOPLE_FIELDS}
    return people


def _with_people(ticket: object, people: Mapping[object, Mapping[str, object]]) -> object:
    """A ticket with those of the users who wrote in it, unless it brings its own."""
    comments = ticket.get("comments") if isinstance(ticket, dict) else None
    if not people or not isinstance(ticket, dict) or not isinstance(comments, list) or _PEOPLE_KEY in ticket:
        return ticket
    authors = [comment.get("author_id") for comment in comments if isinstance(comment, dict)]
    named = dict.fromkeys(each for each in (ticket.get("requester_id"), *authors) if isinstance(each, int | str))
    return {**ticket, _PEOPLE_KEY: [people[each] for each in named if each in people]}


def _records_key(path: Path, name: str) -> str | None:
    """The key of the array of records: `data`, tickets, the only one with objects in it, or the only one in the file.

    A list of turns belongs to the conversation that the object is.
    """
    arrays: dict[str, _Array] = {}
    has_text = False
    with open_text(path) as handle:
        text = JsonText(handle, name)
        if text.peek() != "{":
            text.value("a value")
        else:
            for key in text.names():
                if text.peek() == "[":
                    array = arrays.setdefault(key, _Array())
                    for _, element in text.elements():
                        array.add(element)
                else:
                    has_text |= isinstance(text.value("a value"), str)
        text.end("the value")
    if _RECORDS_KEY in arrays:
        return _RECORDS_KEY
    if tickets := [key for key in _TICKET_KEYS if key in arrays and arrays[key].records and not arrays[key].turns]:
        return tickets[0]
    if any(array.filled and array.turns for array in arrays.values()):
        return None
    return _only_array(arrays, has_text, name)


def _only_array(arrays: Mapping[str, _Array], has_text: bool, name: str) -> str | None:
    filled = {key: array for key, array in arrays.items() if array.filled and not array.turns}
    of_records = [key for key, array in filled.items() if array.records]
    if len(of_records) > 1:
        raise SourceError(
            f"holds several arrays: {', '.join(of_records)}",
            where=name,
            allowed='an array of records, an object with one array, or {"data": [...]}',
        )
    if of_records:
        return of_records[0]
    return next(iter(filled)) if len(filled) == 1 and not has_text else None
