"""Parquet: one record a row."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.records import Record, column_names, plain_value

_BATCH_ROWS = 256
_MAX_ROWS_PER_BYTE = 1_000
_UNSUSPICIOUS_ROWS = 1_000_000


def read_parquet(path: Path, name: str) -> Iterator[Record]:
    """Rows, their values in JSON's types. Raises SourceError for a file that is damaged, cut off, locked or a bomb."""
    try:
        with pq.ParquetFile(path, memory_map=False, buffer_size=1 << 20, pre_buffer=False) as parquet:
            rows = parquet.metadata.num_rows
            if rows > max(_UNSUSPICIOUS_ROWS, _MAX_ROWS_PER_BYTE * path.stat().st_size):
                raise SourceError(
                    f"claims {rows:,} rows in {path.stat().st_size:,} bytes: it may be a bomb", where=name
                )
            yield from _read_batches(parquet, name)
    except (pa.ArrowException, OSError) as error:
        problem = " ".join(str(error).split())
        raise SourceError(f"is damaged, cut off, or no Parquet file: {problem}", where=name) from error


def _read_batches(parquet: Any, name: str) -> Iterator[Record]:
    names = column_names(parquet.schema_arrow.names)
    row = 0
    for batch in parquet.iter_batches(batch_size=_BATCH_ROWS):
        columns = [_values(column) for column in batch.columns]
        for values in zip(*columns, strict=True):
            row += 1
            yield _record(dict(zip(names, values, strict=True)), Origin(name, row))


def _record(fields: dict[str, object], origin: Origin) -> Record:
    characters = sum(len(value) for value in fields.values() if isinstance(value, str))
    if characters > lines.MAX_CHARACTERS:
        start = next(value for value in fields.values() if isinstance(value, str))[: lines.START_CHARACTERS]
        return Record(origin, origin.row, {}, lines.too_long("a row"), start, alone=True)
    return Record(origin, origin.row, fields)


def _values(column: Any) -> list[object]:
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        try:
            values: list[object] = column.to_pylist()
        except UnicodeDecodeError:
            found = column.cast(pa.large_binary()).to_pylist()
            return [None if value is None else value.decode(errors="replace") for value in found]
        return values
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return list(column.to_pylist())
    return [plain_value(value) for value in _as_python(column)]


def _as_python(column: Any) -> list[object]:
    """Values as Python has them; times to the nanosecond, which it has not, to the microsecond."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    return list(column.to_pylist(maps_as_pydicts="lossy"))
