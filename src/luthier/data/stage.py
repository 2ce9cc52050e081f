"""Cleaned records on disk between the passes of `prepare`, made by streaming the shards through Daft."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from luthier.core.errors import TemplateError
from luthier.core.identity import canonical_json
from luthier.core.rows import Origin, Row
from luthier.data.dedupe import Hashes, Mask, band_hashes, band_names, shingle_text
from luthier.data.engine import daft
from luthier.data.tables import read_table
from luthier.data.transform import Outcome, Rules, transform_record
from luthier.sources import Manifest

_OUTCOME = pa.struct(
    [
        pa.field("id", pa.string()),
        pa.field("messages", pa.string()),
        pa.field("text", pa.string()),
        pa.field("groups", pa.list_(pa.string())),
        pa.field("key", pa.string()),
        pa.field("key_hash", pa.uint64()),
        pa.field("shingles", pa.string()),
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("redactions", pa.string()),
        pa.field("original", pa.string()),
    ]
)
_STAGED = pa.schema(
    [
        pa.field("index", pa.int64()),
        pa.field("source", pa.int32()),
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        *(column for column in _OUTCOME if column.name not in ("key_hash", "shingles")),
    ]
)
_BANDS = pa.schema([(name, pa.uint64()) for name in band_names()])
_BATCH = 512
_PROGRESS_EVERY = 5_000


@dataclass(frozen=True, slots=True)
class StagedRecord:
    """One record after cleaning; `row` is None where it could not be read."""

    index: int
    source: int
    origin: Origin
    row: Row | None
    reasons: tuple[str, ...]
    redactions: Mapping[str, int]
    original: str


@dataclass(frozen=True, slots=True)
class Stage:
    """All records in two Parquet files, and three arrays of length records.

    `hashes` are of the comparison keys; `present` says which records gave a row, `eligible` which of these have no
    reason to be dropped so far.
    """

    records_path: Path
    bands_path: Path
    hashes: Hashes
    present: Mask
    eligible: Mask

    def records(self) -> Iterator[StagedRecord]:
        """In the order of the sources."""
        for values in read_table(self.records_path, _STAGED.names):
            origin = Origin(values["file"], values["row"])
            yield StagedRecord(
                values["index"],
                values["source"],
                origin,
                _row(values, origin),
                tuple(values["reasons"]),
                json.loads(values["redactions"]),
                values["original"],
            )

    def keys(self, indices: Collection[int]) -> dict[int, str]:
        """Comparison keys of some records."""
        wanted = indices if isinstance(indices, set | frozenset) else set(indices)
        if not wanted:
            return {}
        pairs = ((values["index"], values["key"]) for values in read_table(self.records_path, ["index", "key"]))
        return {index: key for index, key in pairs if index in wanted}


@dataclass(frozen=True, slots=True)
class LengthLimit:
    """How long a row may be, in tokens, and how they are counted."""

    max_length: int
    token_count: Callable[[Row], int]

    def reasons(self, row: Row) -> tuple[str, ...]:
        """Why this row cannot be used at this length, if so."""
        try:
            count = self.token_count(row)
        except TemplateError as error:
            return (f"template: {error}",)
        return () if count <= self.max_length else (f"too long: {count} tokens, at most {self.max_length}",)


def stage_records(
    manifest: Manifest, rules: Rules, limit: LengthLimit, folder: Path, progress: Callable[[str], None]
) -> Stage:
    """Stream the shards through the rules; tokens are counted here, between Daft's batches, on the calling thread."""
    records_path, bands_path = folder / "staged.parquet", folder / "bands.parquet"
    hashes = np.zeros(manifest.records, np.uint64)
    present = np.zeros(manifest.records, np.bool_)
    eligible = np.zeros(manifest.records, np.bool_)
    done = 0
    with pq.ParquetWriter(records_path, _STAGED) as records, pq.ParquetWriter(bands_path, _BANDS) as bands:
        for batch in _transformed(manifest, rules).to_arrow_iter():
            values = [_with_length(entry, limit) for entry in batch.select(_STAGED.names).to_pylist()]
            here = slice(done, done + len(values))
            assert [entry["index"] for entry in values] == list(range(done, done + len(values))), "records out of order"
            hashes[here] = batch["key_hash"].to_numpy(zero_copy_only=False)
            present[here] = [entry["id"] is not None for entry in values]
            eligible[here] = [not entry["reasons"] for entry in values]
            records.write_batch(pa.RecordBatch.from_pylist(values, schema=_STAGED))
            bands.write_batch(batch.select(_BANDS.names).cast(_BANDS))
            if here.stop // _PROGRESS_EVERY > done // _PROGRESS_EVERY:
                progress(f"cleaned {here.stop:,} of {manifest.records:,} records")
            done = here.stop
    assert done == manifest.records, f"{manifest.records - done} records lost in cleaning"
    return Stage(records_path, bands_path, hashes, present, eligible)


def _transformed(manifest: Manifest, rules: Rules) -> "daft.DataFrame":
    """The shards, cleaned, with the band hashes of every record; in order."""

    def transform(
        source: "daft.Series", file: "daft.Series", row: "daft.Series", raw: "daft.Series", error: "daft.Series"
    ) -> pa.Array:
        columns = (series.to_pylist() for series in (source, file, row, raw, error))
        outcomes = [
            transform_record(Origin(name, number), place, text, problem, rules)
            for place, name, number, text, problem in zip(*columns, strict=True)
        ]
        return pa.array([_outcome_values(outcome) for outcome in outcomes], _OUTCOME)

    column = daft.col
    outcome = daft.DataType.from_arrow_type(_OUTCOME)
    step = daft.func.batch(return_dtype=outcome, unnest=True, use_process=False, batch_size=_BATCH)(transform)
    frame = daft.read_parquet([str(path) for path in manifest.shard_paths()])
    arguments = [column(name) for name in ("source", "file", "row", "raw", "error")]
    frame = frame.select("index", "source", "file", "row", step(*arguments))
    kept = [name for name in frame.column_names if name != "shingles"]
    return frame.select(*kept, band_hashes(column("shingles")))


def _outcome_values(outcome: Outcome) -> dict[str, object]:
    row = outcome.row
    return {
        "id": row.id if row else None,
        "messages": canonical_json(list(row.messages)) if row else None,
        "text": row.text if row else None,
        "groups": list(row.groups) if row else None,
        "key": outcome.key,
        "key_hash": int.from_bytes(hashlib.blake2b(outcome.key.encode(), digest_size=8).digest(), "little"),
        "shingles": shingle_text(outcome.key),
        "reasons": list(outcome.reasons),
        "redactions": canonical_json(outcome.redactions),
        "original": outcome.original,
    }


def _with_length(values: dict[str, Any], limit: LengthLimit) -> dict[str, Any]:
    row = _row(values, Origin(values["file"], values["row"]))
    if row is None:
        return values
    return values | {"reasons": [*values["reasons"], *limit.reasons(row)]}


def _row(values: Mapping[str, Any], origin: Origin) -> Row | None:
    if values["id"] is None:
        return None
    return Row(values["id"], origin, tuple(json.loads(values["messages"])), values["text"], tuple(values["groups"]))
