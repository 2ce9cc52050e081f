"""One record of a source file, as it was read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time

from luthier.core.characters import LONE_SURROGATE
from luthier.core.rows import Origin

_PLAIN = (str, bool, int, type(None))


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields of one record, or why it cannot be read.

    `line` is the physical line it starts at, from 1; in files without lines the row, page or section. Of an unreadable
    record, `fields` is empty, `error` says what is wrong, and `text` holds what stood there, or the start of it.
    `alone` marks a fault that says nothing of the rest of the file, such as one line that is too long or one page
    without text.
    """

    origin: Origin
    line: int
    fields: Mapping[str, object]
    error: str | None = None
    text: str = ""
    alone: bool = False


def as_record(value: object, origin: Origin, line: int, text: str = "") -> Record:
    """A record out of a JSON value: an object as it is, a string as `text`, a list of objects as `messages`."""
    if isinstance(value, dict):
        return Record(origin, line, value)
    if isinstance(value, str):
        return Record(origin, line, {"text": value})
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return Record(origin, line, {"messages": value})
    kind = {list: "a list", bool: "true or false", int: "a number", float: "a number", type(None): "null"}[type(value)]
    return Record(origin, line, {}, f"expected an object with named fields, found {kind}", text or str(value))


def plain_value(value: object) -> object:
    """The value in JSON's types: dates and times in ISO 8601, decimals as text, bytes as the text they hold.

    Numbers that are none become null, bytes that are no text their count.
    """
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return _text_in(bytes(value))
    if isinstance(value, Mapping):
        return {str(key): plain_value(inner) for key, inner in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain_value(inner) for inner in value]
    return str(value)


def without_lone_surrogates(value: object) -> object:
    """A JSON value whose halves of surrogate pairs, which no file can hold, are U+FFFD.

    Raises RecursionError for a value that is nested too deeply.
    """
    if isinstance(value, str):
        return value if value.isascii() else LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {without_lone_surrogates(key): without_lone_surrogates(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_lone_surrogates(inner) for inner in value]
    return value


def column_names(names: Sequence[str]) -> list[str]:
    """Names without surrounding space; a nameless column is called by its place, a repeated name numbered."""
    taken: dict[str, int] = {}
    columns: list[str] = []
    for place, raw in enumerate(names, start=1):
        name = raw.strip() or f"column_{place}"
        while name in taken:
            taken[name] += 1
            name = f"{name}_{taken[name]}"
        taken[name] = 1
        columns.append(name)
    return columns


def _text_in(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return f"[{len(content):,} bytes]"
