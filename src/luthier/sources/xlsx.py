"""XLSX: one record a row of each sheet."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.archives import open_archive
from luthier.sources.records import Record, column_names, plain_value

_SHARED_STRINGS = "xl/sharedStrings.xml"
_MAX_SHARED_BYTES = 512 << 20
_MAX_ROW = 1 << 20
"""The last row that a sheet can have."""
_SHEET_FIELD = "sheet"
_BATCH_ROWS = 256


def read_xlsx(path: Path, name: str) -> Iterator[Record]:
    """Rows below the header of every sheet; where several sheets have rows, `sheet` names the one of each record.

    The header is the first row that is not empty; empty rows are no records. Values of formulas are those that were
    stored with them. Dates are in ISO 8601. Raises SourceError for a file that is none, or is locked, damaged, a zip
    bomb, or holds more text than fits in memory.
    """
    with open_archive(path, name) as archive:
        if not any(member.startswith("xl/") for member in archive.namelist()):
            raise SourceError("is no Excel workbook: it has no folder xl", where=name)
        if _SHARED_STRINGS in archive.namelist() and archive.getinfo(_SHARED_STRINGS).file_size > _MAX_SHARED_BYTES:
            raise SourceError("holds more than 512 MiB of text", where=name, allowed="save its sheets as CSV files")
        with path.open("rb") as handle, closing(_open_workbook(handle, name)) as workbook:
            yield from _read_workbook(workbook, name)


def _open_workbook(handle: BinaryIO, name: str) -> Any:
    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings(action="ignore"):
            return load_workbook(handle, read_only=True, data_only=True)
    except Exception as error:  # openpyxl lets whatever a damaged file provokes through
        raise _damaged(name, error) from error


def _read_workbook(workbook: Any, name: str) -> Iterator[Record]:
    sheets = list(workbook.worksheets)
    filled = [sheet for sheet in sheets if next(_filled_rows(sheet, name), None)] if len(sheets) > 1 else sheets
    row = 0
    for sheet in filled:
        rows = _filled_rows(sheet, name)
        header = next(rows, None)
        if header is None:
            continue
        names = column_names(["" if value is None else str(plain_value(value)) for value in _without_tail(header[1])])
        for place, values in rows:
            row += 1
            record = _record(names, values, Origin(name, row), place)
            if len(filled) > 1 and record.error is None:
                field = _SHEET_FIELD if _SHEET_FIELD not in names else f"{_SHEET_FIELD}_name"
                record = Record(record.origin, place, {**record.fields, field: sheet.title})
            yield record


def _filled_rows(sheet: Any, name: str) -> Iterator[tuple[int, Sequence[object]]]:
    """(number in the sheet, values) of the rows that are not empty."""
    sheet.reset_dimensions()  # the size that some programs write is wrong
    rows = enumerate(sheet.iter_rows(values_only=True), start=1)
    while True:
        try:
            with warnings.catch_warnings(action="ignore"):
                batch = list(islice(rows, _BATCH_ROWS))
        except Exception as error:
            raise _damaged(f"{name}, sheet {sheet.title}", error) from error
        if not batch:
            return
        if batch[-1][0] > _MAX_ROW:
            raise SourceError(
                f"has rows beyond the last one possible, {_MAX_ROW:,}", where=f"{name}, sheet {sheet.title}"
            )
        yield from ((place, values) for place, values in batch if any(value not in (None, "") for value in values))


def _record(names: Sequence[str], values: Sequence[object], origin: Origin, place: int) -> Record:
    plain = [plain_value(value) for value in values]
    if any(value not in (None, "") for value in plain[len(names) :]):
        error = f"{len(_without_tail(plain))} cells where the header has {len(names)}"
        return Record(origin, place, {}, error, " | ".join("" if value is None else str(value) for value in plain))
    if sum(len(value) for value in plain if isinstance(value, str)) > lines.MAX_CHARACTERS:
        return Record(origin, place, {}, lines.too_long("a row"), str(plain[0])[: lines.START_CHARACTERS], alone=True)
    return Record(origin, place, dict(zip(names, [*plain, *[None] * (len(names) - len(plain))], strict=False)))


def _without_tail(values: Sequence[object]) -> Sequence[object]:
    """The values up to the last one that is not empty."""
    end = max((place for place, value in enumerate(values, start=1) if value not in (None, "")), default=0)
    return values[:end]


def _damaged(where: str, error: Exception) -> SourceError:
    return SourceError(f"is damaged, or no workbook that can be read: {error}", where=where)
