import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pytest

from luthier.core.rows import Row, Split
from luthier.data.clean import spoken
from luthier.data.dataset import LEDGER_SCHEMA, ROW_SCHEMA
from luthier.data.ledger import LedgerEntry
from luthier.data.row_columns import ROW_FIELDS, row_values
from luthier.data.sketch import sketch
from luthier.data.staged import RECORDS, Part, Stage


@pytest.fixture
def tables() -> Callable[[Sequence[tuple[Row, Split]], Sequence[LedgerEntry]], tuple[pa.Table, pa.Table]]:
    """Makes what a dataset is written of: rows with their splits, and the ledger's entries."""

    def make(rows: Sequence[tuple[Row, Split]], entries: Sequence[LedgerEntry]) -> tuple[pa.Table, pa.Table]:
        lines = [
            {"split": split, "file": row.origin.file, "row": row.origin.row, **row_values(row)} for row, split in rows
        ]
        ledger = [{**asdict(each), "file": each.origin.file, "row": each.origin.row} for each in entries]
        return pa.Table.from_pylist(lines, ROW_SCHEMA), pa.Table.from_pylist(ledger, LEDGER_SCHEMA)

    return make


@pytest.fixture
def staged(tmp_path: Path) -> Callable[..., Stage]:
    """`staged([row, "unreadable: x"], [(row, "too short: y")])`: records in partitions, each a row that is fine, the
    reason why there is none, or a row with a reason to drop it. Their file is `f`, and each masked one e-mail."""

    def make(*partitions: Sequence[Row | str | tuple[Row, str]]) -> Stage:
        parts: list[Part] = []
        first = 0
        for number, records in enumerate(partitions):
            part = Part(tmp_path / "staged" / f"part-{number}", first, len(records))
            lines = [_line(first + place, record) for place, record in enumerate(records)]
            rows = [record[0] if isinstance(record, tuple) else record for record in records]
            texts = [spoken(row) if isinstance(row, Row) else "" for row in rows]
            part.write(pa.Table.from_pylist(lines, RECORDS), sketch(texts))
            parts.append(part)
            first += len(records)
        return Stage.read(parts)

    return make


def _line(index: int, record: Row | str | tuple[Row, str]) -> dict[str, object]:
    row, *reasons = record if isinstance(record, tuple) else (record,)
    if isinstance(row, str):
        values: dict[str, object] = {field.name: None for field in ROW_FIELDS}
        reasons = [row]
    else:
        values = row_values(row)
    about = {"index": index, "source": 0, "file": "f", "row": index + 1, "redactions": json.dumps({"email": 1})}
    return {**about, **values, "reasons": reasons, "original": json.dumps({"record": index})}
