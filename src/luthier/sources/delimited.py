"""CSV and TSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources.encoding import open_text
from luthier.sources.records import Record

_DELIMITERS = ",;\t|"
_NO_DELIMITER = "\x1f"
"""The ASCII unit separator, for a file with a single column: text holds none."""
_SAMPLE_CHARACTERS = 1 << 16
_LARGEST_FIELD = 2**31 - 1


def read_delimited(path: Path, name: str) -> Iterator[Record]:
    """Records of a CSV or TSV file with a header line, one a data row; blank lines are none.

    The delimiter is found among comma, semicolon, tab and bar. A row with another number of fields than the header is
    unreadable, save for empty fields at its end. Raises SourceError for a quoted field that never closes.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    with open_text(path) as handle:
        delimiter = sniff_delimiter(handle.read(_SAMPLE_CHARACTERS))
        handle.seek(0)
        yield from _read_rows(handle, name, delimiter)


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


def _read_rows(lines: Iterator[str], name: str, delimiter: str) -> Iterator[Record]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = _header(next(row for row in reader if row))
    except StopIteration:
        return
    except csv.Error as error:
        raise SourceError(f"the header is not valid CSV: {error}", where=f"{name}, line {reader.line_num}") from error
    row_number = 0
    while True:
        line = reader.line_num + 1
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise SourceError("a quoted field opens here and never closes", where=f"{name}, line {line}") from error
            row_number += 1
            yield Record(Origin(name, row_number), line, {}, f"not valid CSV: {error}")
            continue
        if values:
            row_number += 1
            yield _record(header, values, Origin(name, row_number), line)


def _record(header: Sequence[str], values: Sequence[str], origin: Origin, line: int) -> Record:
    if len(values) < len(header) or any(values[len(header) :]):
        error = f"{len(values)} fields where the header has {len(header)}"
        return Record(origin, line, {}, error, _as_line(values))
    return Record(origin, line, dict(zip(header, values, strict=False)))


def _as_line(values: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(values)
    return line.getvalue()


def _header(names: Sequence[str]) -> list[str]:
    """Names without surrounding space; a nameless column is called by its place, a repeated name numbered."""
    header: list[str] = []
    for place, raw in enumerate(names, start=1):
        name = raw.strip() or f"column_{place}"
        repeats = sum(other == name or other.startswith(f"{name}_") for other in header) if name in header else 0
        header.append(f"{name}_{repeats + 1}" if repeats else name)
    return header
