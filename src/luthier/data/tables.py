"""Parquet files as streams of dictionaries."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

BATCH_ROWS = 1_000


def read_table(path: Path, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a file in order, in memory a batch at a time; all columns, or those named."""
    with pq.ParquetFile(path) as parquet:
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, columns=list(columns) if columns else None):
            yield from batch.to_pylist()
