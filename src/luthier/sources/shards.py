"""Records of all sources in Parquet shards, which is what data preparation streams."""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from luthier.core.files import write_text
from luthier.core.identity import file_digest
from luthier.sources.reading import read_records
from luthier.sources.records import Record

SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64()),
        pa.field("source", pa.int32()),
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("line", pa.int64()),
        pa.field("raw", pa.large_string()),
        pa.field("error", pa.string()),
    ]
)
"""`index` counts all records from 0, `source` the files in the recipe's order; `raw` is JSON."""

_GROUP_RECORDS = 1_000
_GROUP_CHARACTERS = 8_000_000
_SHARD_RECORDS = 50_000
_MAX_FIELD_NAMES = 1_000
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SourceManifest:
    """What one file held. `fields` are the names seen in any record, in order; `shards` are file names."""

    name: str
    digest: str
    records: int
    unreadable: int
    fields: tuple[str, ...]
    shards: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All sources of one preparation, in the recipe's order, and the folder of their shards."""

    folder: Path
    sources: tuple[SourceManifest, ...]

    @property
    def records(self) -> int:
        return sum(source.records for source in self.sources)

    def shard_paths(self) -> list[Path]:
        return [self.folder / shard for source in self.sources for shard in source.shards]


def write_shards(
    sources: Sequence[tuple[Path, str]], folder: Path, progress: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Read (path, name) sources into shards under `folder`, with a `manifest.json`. Memory does not grow with the data.

    Raises SourceError as `read_records` does.
    """
    manifests: list[SourceManifest] = []
    index = 0
    for number, (path, name) in enumerate(sources):
        manifest = _write_source(read_records(path, name), path, name, _ShardWriter(folder, number, index))
        progress(f"read {name}: {manifest.records:,} records")
        manifests.append(manifest)
        index += manifest.records
    write_text(folder / "manifest.json", json.dumps({"sources": [asdict(entry) for entry in manifests]}, indent=2))
    return Manifest(folder, tuple(manifests))


def sample_fields(manifest: Manifest, source: int, limit: int = 200) -> list[Mapping[str, object]]:
    """Fields of the first readable records of a source, at most `limit`."""
    return [fields for fields, _ in zip(_readable_fields(manifest, source), range(limit), strict=False)]


def _readable_fields(manifest: Manifest, source: int) -> Iterator[Mapping[str, object]]:
    for shard in manifest.sources[source].shards:
        with pq.ParquetFile(manifest.folder / shard) as parquet:
            for batch in parquet.iter_batches(batch_size=200, columns=["raw", "error"]):
                for raw, error in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                    if error is None:
                        yield json.loads(raw)


def _write_source(records: Iterator[Record], path: Path, name: str, writer: "_ShardWriter") -> SourceManifest:
    count, unreadable = 0, 0
    names: dict[str, None] = {}
    with writer:
        for record in records:
            count += 1
            unreadable += record.error is not None
            if len(names) < _MAX_FIELD_NAMES:
                names.update(dict.fromkeys(record.fields))
            writer.add(record)
    return SourceManifest(name, file_digest([path]), count, unreadable, tuple(names), tuple(writer.shards))


class _ShardWriter:
    """Writes records in row groups of bounded size, and begins a new shard when one is full."""

    def __init__(self, folder: Path, source: int, first_index: int) -> None:
        self._folder, self._source, self._index = folder, source, first_index
        self._rows: list[tuple[int, int, str, int, int, str, str | None]] = []
        self._characters = 0
        self._in_shard = 0
        self._parquet: pq.ParquetWriter | None = None
        self.shards: list[str] = []

    def __enter__(self) -> "_ShardWriter":
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._flush()
        self._close()

    def add(self, record: Record) -> None:
        raw = _as_json(record.text if record.error is not None else record.fields)
        origin = record.origin
        self._rows.append((self._index, self._source, origin.file, origin.row, record.line, raw, record.error))
        self._index += 1
        self._characters += len(raw)
        if len(self._rows) >= _GROUP_RECORDS or self._characters >= _GROUP_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._parquet is None:
            self.shards.append(f"records-{self._source:03d}-{len(self.shards):05d}.parquet")
            self._folder.mkdir(parents=True, exist_ok=True)
            self._parquet = pq.ParquetWriter(self._folder / self.shards[-1], SCHEMA, compression="zstd")
        values = zip(zip(*self._rows, strict=True), SCHEMA, strict=True)
        columns = [pa.array(column, field.type) for column, field in values]
        self._parquet.write_batch(pa.record_batch(columns, schema=SCHEMA))
        self._in_shard += len(self._rows)
        self._rows, self._characters = [], 0
        if self._in_shard >= _SHARD_RECORDS:
            self._close()

    def _close(self) -> None:
        if self._parquet is not None:
            self._parquet.close()
        self._parquet, self._in_shard = None, 0


def _as_json(value: object) -> str:
    """JSON in plain Unicode; halves of surrogate pairs, which no file can hold, become U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() else _LONE_SURROGATE.sub("\ufffd", text)
