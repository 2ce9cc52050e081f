"""The folder of a dataset: rows, ledger and report; how they are written, read and exported."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from luthier.core.artefacts import FORMAT_VERSION
from luthier.core.errors import DatasetError
from luthier.core.files import atomic_path
from luthier.core.identity import content_id
from luthier.core.rows import SPLITS, Origin, Row, Split
from luthier.data.ledger import LedgerEntry
from luthier.data.row_columns import ROW_FIELDS, row_of
from luthier.data.tables import BATCH_ROWS, read_table

ROWS_NAME = "rows.parquet"
LEDGER_NAME = "ledger.parquet"
REPORT_NAME = "report.json"
PAGE_NAME = "report.html"

ROW_SCHEMA = pa.schema(
    [
        pa.field("split", pa.string()),
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        *ROW_FIELDS,
    ]
)
LEDGER_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("kept", pa.bool_()),
        pa.field("row_ids", pa.list_(pa.string())),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("original", pa.string()),
        pa.field("flags", pa.list_(pa.string())),
    ]
)


class DatasetWriter:
    """Writes rows and ledger as they come, and makes the dataset's id of what it wrote."""

    def __init__(self, folder: Path) -> None:
        self._rows = _TableWriter(folder / ROWS_NAME, ROW_SCHEMA)
        self._ledger = _TableWriter(folder / LEDGER_NAME, LEDGER_SCHEMA)

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._rows.close()
        self._ledger.close()

    def add(self, rows: pa.Table, ledger: pa.Table) -> None:
        """Write what became of some records, in `LEDGER_SCHEMA`, and the rows kept of them, in `ROW_SCHEMA`."""
        self._rows.add(rows)
        self._ledger.add(ledger)

    def dataset_id(self) -> str:
        """The same for the same rows, splits and ledger, wherever they were made."""
        digests = {"rows": self._rows.digests(), "ledger": self._ledger.digests(), "format": FORMAT_VERSION}
        return content_id("dataset", digests)


class _TableWriter:
    """Writes tables to one Parquet file and digests their columns, however the rows are cut into tables."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._parquet = pq.ParquetWriter(path, schema, compression="zstd")
        self._digests = {name: _ColumnDigest() for name in schema.names}

    def add(self, table: pa.Table) -> None:
        self._parquet.write_table(table.select(self._schema.names).cast(self._schema), row_group_size=BATCH_ROWS)
        for name, digest in self._digests.items():
            for chunk in table[name].chunks:
                digest.add(chunk.cast(self._schema.field(name).type))

    def close(self) -> None:
        self._parquet.close()

    def digests(self) -> dict[str, str]:
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


class _ColumnDigest:
    """SHA-256 of a column's values and of their lengths: together they leave no doubt where a value ends."""

    def __init__(self) -> None:
        self._values, self._lengths, self._list_lengths = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()

    def add(self, array: pa.Array) -> None:
        if pa.types.is_list(array.type):
            _add_lengths(self._list_lengths, array.value_lengths())
            self.add(array.flatten())
        elif pa.types.is_string(array.type):
            _add_lengths(self._lengths, pc.binary_length(array))
            filled = array.drop_null()
            if len(filled):
                _, offsets, data = filled.buffers()
                edges = np.frombuffer(offsets, np.int32)[filled.offset : filled.offset + len(filled) + 1]
                if data is not None:
                    self._values.update(memoryview(data)[int(edges[0]) : int(edges[-1])])
        else:
            assert array.null_count == 0, "numbers without a value are not foreseen"
            self._values.update(array.to_numpy(zero_copy_only=False).astype("<i8").tobytes())

    def hexdigest(self) -> str:
        parts = (self._values, self._lengths, self._list_lengths)
        return hashlib.sha256(b"".join(part.digest() for part in parts)).hexdigest()


def _add_lengths(digest: "hashlib._Hash", lengths: pa.Array) -> None:
    digest.update(lengths.fill_null(-1).to_numpy().astype("<i8").tobytes())


def read_rows(folder: Path, split: Split) -> list[Row]:
    """Rows of one split, in the order of the sources. Raises DatasetError where the folder holds no dataset."""
    return [row for row, row_split in iterate_rows(folder) if row_split == split]


def read_ledger(folder: Path) -> Iterator[LedgerEntry]:
    """What became of each record, in the order of the sources."""
    for values in _read(folder / LEDGER_NAME, LEDGER_SCHEMA):
        yield LedgerEntry(
            Origin(values["file"], values["row"]),
            values["kept"],
            tuple(values["row_ids"]),
            tuple(values["reasons"]),
            values["original"],
            tuple(values["flags"]),
        )


def read_report(folder: Path) -> dict[str, object]:
    """The report of `prepare`, without the path and the time it took."""
    path = folder / REPORT_NAME
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error
    if not isinstance(report, dict) or not report:
        raise _broken(path, "it holds no report")
    return report


def export(folder: Path, target: Path) -> list[Path]:
    """Write `train.jsonl`, `validation.jsonl`, `test.jsonl` and `ledger.jsonl` into `target`; gives their paths.

    Every line has `source` {file, row}; chat rows `messages`, text rows `text`, and rows that have them `tools`,
    `label`, `rejected`, `rating` and `flags`; ledger lines `kept`, `rows`, `reasons`, `flags`.
    Files of these names are replaced, all of them or none; others in `target` stay. Raises DatasetError for a damaged
    dataset.
    """
    paths = [target / f"{name}.jsonl" for name in (*SPLITS, "ledger")]
    with ExitStack() as written:
        *splits, ledger = (written.enter_context(atomic_path(path)) for path in paths)
        for split, path in zip(SPLITS, splits, strict=True):
            _write_lines(path, (_row_line(row) for row, row_split in iterate_rows(folder) if row_split == split))
        _write_lines(ledger, (_ledger_line(entry) for entry in read_ledger(folder)))
    return paths


def _row_line(row: Row) -> dict[str, object]:
    fields = {
        name: getattr(row, name) for name in ("messages", "text", "tools", "label", "rejected", "rating", "flags")
    }
    return {"id": row.id, **{name: value for name, value in fields.items() if value}, "source": _source(row.origin)}


def _ledger_line(entry: LedgerEntry) -> dict[str, object]:
    return {
        "source": _source(entry.origin),
        "kept": entry.kept,
        "rows": list(entry.row_ids),
        "reasons": list(entry.reasons),
        "flags": list(entry.flags),
        "original": json.loads(entry.original),
    }


def _source(origin: Origin) -> dict[str, object]:
    return {"file": origin.file, "row": origin.row}


def _write_lines(path: Path, lines: Iterator[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8") as handle:
        for line in lines:
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")


def iterate_rows(folder: Path) -> Iterator[tuple[Row, Split]]:
    """Every row with its split, in the order of the sources."""
    for values in _read(folder / ROWS_NAME, ROW_SCHEMA):
        yield row_of(values, Origin(values["file"], values["row"])), values["split"]


def _read(path: Path, schema: pa.Schema) -> Iterator[dict[str, Any]]:
    try:
        found = pq.read_schema(path)
        if lacking := [name for name in schema.names if name not in found.names]:
            raise _broken(path, f"it has no column {lacking[0]}")
        yield from read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise _broken(path, error) from error


def _broken(path: Path, why: Exception | str) -> DatasetError:
    """What is wrong with a file of a dataset, in few words: Arrow's own name the path twice."""
    reason = "there is no such file" if isinstance(why, FileNotFoundError) else " ".join(str(why).split())
    return DatasetError(
        f"the dataset is incomplete or damaged: {reason}", where=str(path), allowed="make it anew with: luthier prepare"
    )
