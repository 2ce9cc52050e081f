from collections.abc import Callable, Sequence
from dataclasses import asdict

import pyarrow as pa
import pytest

from luthier.core.rows import Row, Split
from luthier.data.dataset import LEDGER_SCHEMA, ROW_SCHEMA
from luthier.data.ledger import LedgerEntry
from luthier.data.row_columns import row_values


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
