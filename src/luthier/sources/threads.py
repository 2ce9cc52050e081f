"""Records out of several: the rows of one ticket put together."""

import difflib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.records import Record

_MAX_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class Threading:
    """How the messages of a source make records: by a column with the thread's number, and for mails whose they are."""

    thread_by: str = ""
    agents: tuple[str, ...] = ()


def gather_threads(records: Iterator[Record], column: str, name: str, place: Path) -> Iterator[Record]:
    """One record for all rows that have the same value in `column`, wherever in the file they stand.

    Its fields are `column` with that value, and every other name with the list of its values, one for each row. It has
    the row and line of its first row, and records come in that order. Rows without a value, and those that cannot be
    read, stay records of their own. The rows wait in a database at `place`, which is removed; memory does not grow.
    Raises SourceError where no record has the column.
    """
    place.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(place)) as rows:
            rows.execute("PRAGMA journal_mode = OFF")
            rows.execute("PRAGMA synchronous = OFF")
            rows.execute("CREATE TABLE threads (number TEXT PRIMARY KEY, first INTEGER) WITHOUT ROWID")
            rows.execute(
                "CREATE TABLE rows (first INTEGER, row INTEGER, content TEXT, PRIMARY KEY (first, row)) WITHOUT ROWID"
            )
            _store(rows, records, column, name)
            stored = rows.execute("SELECT first, row, content FROM rows ORDER BY first, row")
            for first, members in groupby(stored, key=lambda each: int(each[0])):
                yield _thread([json.loads(content) for _, _, content in members], Origin(name, first), column)
    finally:
        place.unlink(missing_ok=True)


def _store(rows: sqlite3.Connection, records: Iterator[Record], column: str, name: str) -> None:
    names: dict[str, None] = {}
    found = False
    for record in records:
        row = record.origin.row
        number = record.fields.get(column)
        found |= column in record.fields
        if len(names) < _MAX_NAMES:
            names.update(dict.fromkeys(record.fields))
        first = row
        if record.error is None and number not in (None, ""):
            rows.execute("INSERT OR IGNORE INTO threads VALUES (?, ?)", (str(number).strip(), row))
            (first,) = rows.execute("SELECT first FROM threads WHERE number = ?", (str(number).strip(),)).fetchone()
        content = json.dumps([record.line, record.fields, record.error, record.text, record.alone])
        rows.execute("INSERT INTO rows VALUES (?, ?, ?)", (first, row, content))
    if names and not found:
        close = difflib.get_close_matches(column, names, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]}? " if close else ""
        raise SourceError(
            f"no column {column!r} to thread by", where=name, allowed=f"{hint}columns: {', '.join(names)}"
        )


def _thread(members: Sequence[Sequence[object]], origin: Origin, column: str) -> Record:
    line, fields, error, text, alone = members[0]
    assert isinstance(line, int)
    assert isinstance(fields, dict)
    if error is not None:
        return Record(origin, line, {}, str(error), str(text), bool(alone))
    rows: list[Mapping[str, object]] = [member[1] for member in members if isinstance(member[1], dict)]
    if sum(len(value) for row in rows for value in row.values() if isinstance(value, str)) > lines.MAX_CHARACTERS:
        start = str(fields.get(column))[: lines.START_CHARACTERS]
        return Record(origin, line, {}, lines.too_long("a thread"), start, alone=True)
    names = dict.fromkeys(name for row in rows for name in row)
    gathered = {name: [row.get(name) for row in rows] for name in names if name != column}
    return Record(origin, line, {column: fields.get(column), **gathered})
