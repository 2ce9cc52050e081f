"""The folder of a dataset: rows, ledger and report; how they are written, read and exported."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from luthier.core.artefacts import FORMAT_VERSION
from luthier.core.errors import DatasetError
from luthier.core.files import atomic_path
from luthier.core.identity import canonical_json, content_id
from luthier.core.rows import SPLITS, Origin, Row, Split
from luthier.data.ledger import LedgerEntry
from luthier.data.tables import BATCH_ROWS, read_table

ROWS_NAME = "rows.parquet"
LEDGER_NAME = "ledger.parquet"
REPORT_NAME = "report.json"

ROW_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("split", pa.string()),
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("messages", pa.string()),
        pa.field("text", pa.string()),
        pa.field("groups", pa.list_(pa.string())),
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
    ]
)


class DatasetWriter:
    """Writes rows and ledger entries as they come, and makes the dataset's id of what it wrote."""

    def __init__(self, folder: Path) -> None:
        self._rows = _TableWriter(folder / ROWS_NAME, ROW_SCHEMA)
        self._ledger = _TableWriter(folder / LEDGER_NAME, LEDGER_SCHEMA)

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._rows.close()
        self._ledger.close()

    def add(self, entry: LedgerEntry, row: Row | None, split: Split | None) -> None:
        """Write what became of one record, and its row if it was kept."""
        self._ledger.add(
            {
                "file": entry.origin.file,
                "row": entry.origin.row,
                "kept": entry.kept,
                "row_ids": list(entry.row_ids),
                "reasons": list(entry.reasons),
                "original": entry.original,
            }
        )
        if row is not None:
            self._rows.add(
                {
                    "id": row.id,
                    "split": split,
                    "file": row.origin.file,
                    "row": row.origin.row,
                    "messages": canonical_json(list(row.messages)),
                    "text": row.text,
                    "groups": list(row.groups),
                }
            )

    def dataset_id(self) -> str:
        """The same for the same rows, splits and ledger, wherever they were made. Call it after closing."""
        digests = {"rows": self._rows.digest(), "ledger": self._ledger.digest(), "format": FORMAT_VERSION}
        return content_id("dataset", digests)


class _TableWriter:
    """Writes dictionaries to Parquet in batches and digests their canonical JSON."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._parquet = pq.ParquetWriter(path, schema, compression="zstd")
        self._digest = hashlib.sha256()
        self._pending: list[dict[str, object]] = []

    def add(self, values: dict[str, object]) -> None:
        self._digest.update(canonical_json(values).encode() + b"\n")
        self._pending.append(values)
        if len(self._pending) >= BATCH_ROWS:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._parquet.close()

    def digest(self) -> str:
        return self._digest.hexdigest()

    def _flush(self) -> None:
        if self._pending:
            self._parquet.write_batch(pa.RecordBatch.from_pylist(self._pending, schema=self._schema))
            self._pending = []


def read_rows(folder: Path, split: Split) -> list[Row]:
    """Rows of one split, in the order of the sources. Raises DatasetError where the folder holds no dataset."""
    return [row for row, row_split in _iterate_rows(folder) if row_split == split]


def read_ledger(folder: Path) -> Iterator[LedgerEntry]:
    """What became of each record, in the order of the sources."""
    for values in _read(folder / LEDGER_NAME):
        yield LedgerEntry(
            Origin(values["file"], values["row"]),
            values["kept"],
            tuple(values["row_ids"]),
            tuple(values["reasons"]),
            values["original"],
        )


def read_report(folder: Path) -> dict[str, object]:
    """The report of `prepare`, without the path and the time it took."""
    try:
        report: dict[str, object] = json.loads((folder / REPORT_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot be read: {error}", where=str(folder / REPORT_NAME)) from error
    return report


def export(folder: Path, target: Path) -> list[Path]:
    """Write `train.jsonl`, `validation.jsonl`, `test.jsonl` and `ledger.jsonl` into `target`; gives their paths.

    Every line has `source` {file, row}; chat rows `messages`, text rows `text`; ledger lines `kept`, `rows`, `reasons`.
    Files of these names are replaced, others in `target` stay.
    """
    paths = [target / f"{split}.jsonl" for split in SPLITS]
    for split, path in zip(SPLITS, paths, strict=True):
        _write_lines(path, (_row_line(row) for row, row_split in _iterate_rows(folder) if row_split == split))
    ledger = target / "ledger.jsonl"
    _write_lines(ledger, (_ledger_line(entry) for entry in read_ledger(folder)))
    return [*paths, ledger]


def _row_line(row: Row) -> dict[str, object]:
    content = {"messages": list(row.messages)} if row.messages else {"text": row.text}
    return {"id": row.id, **content, "source": _source(row.origin)}


def _ledger_line(entry: LedgerEntry) -> dict[str, object]:
    return {
        "source": _source(entry.origin),
        "kept": entry.kept,
        "rows": list(entry.row_ids),
        "reasons": list(entry.reasons),
        "original": json.loads(entry.original),
    }


def _source(origin: Origin) -> dict[str, object]:
    return {"file": origin.file, "row": origin.row}


def _write_lines(path: Path, lines: Iterator[dict[str, object]]) -> None:
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as handle:
        for line in lines:
            handle.write(json.dumps(line, ensure_ascii=False) + "\n")


def _iterate_rows(folder: Path) -> Iterator[tuple[Row, str]]:
    for values in _read(folder / ROWS_NAME):
        origin = Origin(values["file"], values["row"])
        messages = tuple(json.loads(values["messages"]))
        yield Row(values["id"], origin, messages, values["text"], tuple(values["groups"])), values["split"]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    try:
        yield from read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"no dataset here, or a broken one: {error}", where=str(path)) from error
