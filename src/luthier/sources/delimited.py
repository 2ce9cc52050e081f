"""CSV and TSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.encoding import open_text
from luthier.sources.records import Record, column_names

_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\x1f"
"""The ASCII unit separator, for a file with a single column: text holds none."""
_SAMPLE_CHARACTERS = 1 << 16
_SHOWN_CHARACTERS = 1 << 20
"""How much of a row that cannot be read is kept, in whole lines: many short ones would take far more memory."""
_LARGEST_FIELD = 2**31 - 1


def read_delimited(path: Path, name: str) -> Iterator[Record]:
    """Records of a CSV or TSV file with a header line, one a data row; blank lines are none.

    The delimiter is found among comma, semicolon, tab and bar. A row with another number of fields than the header is
    unreadable, save for empty fields at its end; so is one that is too long. Raises SourceError for a quoted field
    that never closes.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    with open_text(path) as handle:
        delimiter = sniff_delimiter(handle.read(_SAMPLE_CHARACTERS))
    with open_text(path) as handle:
        yield from _read_rows(_RowLines(handle), name, delimiter)


def sniff_delimiter(sample: str) -> str:
    """The delimiter that gives the most rows as many fields as the header has, at least two."""
    best, best_score = _NO_DELIMITER, (0.0, 1)
    for delimiter in _DELIMITERS:
        rows = [row for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter) if row]
        if len(rows) > 2:
            rows.pop()  # the sample may end inside it
        width = len(rows[0]) if rows else 0
        score = (sum(len(row) == width for row in rows) / max(len(rows), 1), width)
        if width > 1 and score > best_score:
            best, best_score = delimiter, score
    return best


class _RowTooLong(Exception):
    """The row that is being read goes beyond the limit."""


class _RowLines:
    """Lines for `csv.reader`, which counts what one row takes of them and gives it up where that is too much."""

    def __init__(self, handle: TextIO) -> None:
        self._lines = lines.bounded_lines(handle)
        self.number = 0
        self.row_is_long = False
        """Whether a line of this row had to be left out."""
        self._row: list[str] = []
        self._characters = 0

    def begin_row(self) -> None:
        self._row, self._characters, self.row_is_long = [], 0, False

    def row_text(self, characters: int | None = None) -> str:
        """The lines of the row so far, or the start of them."""
        return "".join(self._row)[:characters].rstrip("\r\n")

    def __iter__(self) -> "_RowLines":
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        if isinstance(line, lines.LongLine):
            self.row_is_long = True
            self._row.append(line.start)
            return ('"' if line.quotes % 2 else "x") + "\n"  # opens or closes a quoted field where the line did
        if self._characters <= _SHOWN_CHARACTERS:
            self._row.append(line)
        self._characters += len(line)
        if self._characters > lines.MAX_CHARACTERS:
            raise _RowTooLong
        return line

    def skip_quoted_field(self) -> bool:
        """Read past the line in which the quoted field ends; whether there is one."""
        for line in self._lines:
            self.number += 1
            quotes = line.quotes if isinstance(line, lines.LongLine) else line.count('"')
            if quotes % 2:
                return True
        return False


def _read_rows(source: _RowLines, name: str, delimiter: str) -> Iterator[Record]:
    reader = csv.reader(source, delimiter=delimiter, strict=True)
    header = _header(reader, source, name)
    row = 0
    while header:
        source.begin_row()
        line = source.number + 1
        origin = Origin(name, row + 1)
        try:
            values = next(reader)
        except StopIteration:
            return
        except _RowTooLong:
            if not source.skip_quoted_field():
                raise _never_closes(name, line) from None
            record = _too_long(origin, line, source)
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise _never_closes(name, line) from error
            record = Record(origin, line, {}, f"not valid CSV: {error}", source.row_text())
        else:
            if source.row_is_long:
                record = _too_long(origin, line, source)
            elif values:
                record = _record(header, values, origin, line)
            else:
                continue
        row += 1
        yield record


def _header(reader: Iterator[list[str]], source: _RowLines, name: str) -> list[str]:
    """The names in the first line that is not blank; none in a file without such a line."""
    try:
        names = next((row for row in reader if row), [])
    except csv.Error as error:
        raise SourceError(f"the header is not valid CSV: {error}", where=f"{name}, line {source.number}") from error
    except _RowTooLong:
        raise SourceError(lines.too_long("a header"), where=name) from None
    if source.row_is_long:
        raise SourceError(lines.too_long("a header"), where=name)
    return column_names(names)


def _never_closes(name: str, line: int) -> SourceError:
    return SourceError("a quoted field opens here and never closes", where=f"{name}, line {line}")


def _too_long(origin: Origin, line: int, source: _RowLines) -> Record:
    return Record(origin, line, {}, lines.too_long("a row"), source.row_text(lines.START_CHARACTERS), alone=True)


def _record(header: Sequence[str], values: Sequence[str], origin: Origin, line: int) -> Record:
    if len(values) != len(header) and (len(values) < len(header) or any(values[len(header) :])):
        error = f"{len(values)} fields where the header has {len(header)}"
        return Record(origin, line, {}, error, _as_line(values))
    return Record(origin, line, dict(zip(header, values, strict=False)))


def _as_line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()
