"""One record of a source file, as it was read."""

from collections.abc import Mapping
from dataclasses import dataclass

from luthier.core.rows import Origin


@dataclass(frozen=True, slots=True)
class Record:
    """Named fields of one record, or why it cannot be read.

    `line` is the physical line it starts at, from 1. Of an unreadable record, `fields` is empty, `error` says what is
    wrong, and `text` holds what stood there.
    """

    origin: Origin
    line: int
    fields: Mapping[str, object]
    error: str | None = None
    text: str = ""


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
