"""Files of any known format, record by record."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from luthier.core.errors import SourceError
from luthier.sources.delimited import read_delimited
from luthier.sources.json_values import read_json, read_json_lines
from luthier.sources.markdown import read_markdown
from luthier.sources.records import Record

Reader = Callable[[Path, str], Iterator[Record]]
READERS: Mapping[str, Reader] = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".json": read_json,
    ".md": read_markdown,
    ".markdown": read_markdown,
}
SUFFIXES = tuple(READERS)
MAX_UNREADABLE = 0.01
"""Share of a file's records that may be unreadable before the file is refused."""


def read_records(path: Path, name: str) -> Iterator[Record]:
    """All records of a file, readable or not, in order; `name` is how the recipe calls it. Memory does not grow.

    Raises SourceError for a file that is missing, empty or of an unknown kind, and at the end for one with more than
    1 % of unreadable records, naming the first.
    """
    reader = _reader_for(path, name)
    count, unreadable = 0, 0
    first: Record | None = None
    try:
        for record in reader(path, name):
            count += 1
            if record.error is not None:
                unreadable += 1
                first = first or record
            yield record
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror or error}", where=name) from error
    if count == 0:
        raise SourceError("holds no records", where=name)
    if first is not None and unreadable > MAX_UNREADABLE * count:
        raise SourceError(
            first.error or "",
            where=f"{name}, line {first.line}",
            allowed=f"{unreadable} of {count} records unreadable; at most {MAX_UNREADABLE:.0%} may be",
        )


def _reader_for(path: Path, name: str) -> Reader:
    if not path.exists():
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=1)
        raise SourceError("no such file", where=name, allowed=f"did you mean {close[0]}?" if close else None)
    if not path.is_file():
        raise SourceError("is a folder, not a file", where=name)
    try:
        reader = READERS[path.suffix.lower()]
    except KeyError:
        ending = path.suffix or "no ending"
        raise SourceError(f"cannot read files with {ending}", where=name, allowed=", ".join(SUFFIXES)) from None
    if path.stat().st_size == 0:
        raise SourceError("the file is empty", where=name)
    return reader
