"""Records of all sources in Parquet shards, which is what data preparation streams."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from luthier.core.characters import LONE_SURROGATE
from luthier.core.files import write_text
from luthier.core.identity import file_digest
from luthier.sources.reading import read_records
from luthier.sources.records import Record
from luthier.sources.threads import Threading, gather_threads

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
_SHARD_RECORDS = 20_000
_SHARD_CHARACTERS = 128_000_000
_MAX_FIELD_NAMES = 1_000


@dataclass(frozen=True, slots=True)
class Shard:
    """A file of records that follow each other, and how many they are."""

    name: str
    records: int


@dataclass(frozen=True, slots=True)
class SourceManifest:
    """What one file held. `fields` are the names seen in any record, in order."""

    name: str
    digest: str
    records: int
    unreadable: int
    fields: tuple[str, ...]
    shards: tuple[Shard, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All sources of one preparation, in the recipe's order, and the folder of their shards."""

    folder: Path
    sources: tuple[SourceManifest, ...]

    @property
    def records(self) -> int:
        return sum(source.records for source in self.sources)

    def shards(self) -> list[Shard]:
        return [shard for source in self.sources for shard in source.shards]

    def path(self, shard: Shard) -> Path:
        return self.folder / shard.name


def write_shards(
    sources: Sequence[tuple[Path, str]],
    folder: Path,
    progress: Callable[[str], None] = lambda _: None,
    threading: Sequence[Threading] = (),
) -> Manifest:
    """Read (path, name) sources into shards under `folder`. Memory does not grow with the data.

    `threading` says of each source, in the same order, how its messages make records; empty where none needs it.

    Shards and manifests that an earlier call with the same sources finished are taken as they are: the caller sees to
    it that the files have not changed since. Raises SourceError as `read_records` does.
    """
    manifests: list[SourceManifest] = []
    index = 0
    for number, (path, name) in enumerate(sources):
        place = folder / f"source-{number:03d}.json"
        manifest = _read_manifest(place)
        if manifest is None:
            folder.mkdir(parents=True, exist_ok=True)
            how = threading[number] if threading else Threading()
            records = read_records(path, name, how.agents)
            if how.thread_by:
                records = gather_threads(records, how.thread_by, name, folder / f".threads-{number:03d}.sqlite")
            manifest = _write_source(records, path, name, _ShardWriter(folder, number, index))
            write_text(place, json.dumps(asdict(manifest), indent=2))
            progress(f"read {name}: {manifest.records:,} records")
        manifests.append(manifest)
        index += manifest.records
    return Manifest(folder, tuple(manifests))


def _read_manifest(place: Path) -> SourceManifest | None:
    if not place.exists():
        return None
    values = json.loads(place.read_text(encoding="utf-8"))
    shards = tuple(Shard(**shard) for shard in values["shards"])
    return SourceManifest(**{**values, "fields": tuple(values["fields"]), "shards": shards})


def sample_fields(manifest: Manifest, source: int, limit: int = 200) -> list[Mapping[str, object]]:
    """Fields of the first readable records of a source, at most `limit`."""
    return [fields for fields, _ in zip(_readable_fields(manifest, source), range(limit), strict=False)]


def spread_fields(manifest: Manifest, limit: int) -> Iterator[tuple[int, Mapping[str, object]]]:
    """Number of the source and fields of readable records of all sources, about `limit`: of each shard the first ones,
    in proportion to its size."""
    share = min(1.0, limit / max(1, manifest.records))
    for number, source in enumerate(manifest.sources):
        for shard in source.shards:
            sampled = islice(_shard_fields(manifest.path(shard)), math.ceil(share * shard.records))
            yield from ((number, fields) for fields in sampled)


def _readable_fields(manifest: Manifest, source: int) -> Iterator[Mapping[str, object]]:
    for shard in manifest.sources[source].shards:
        yield from _shard_fields(manifest.path(shard))


def _shard_fields(path: Path) -> Iterator[Mapping[str, object]]:
    with pq.ParquetFile(path) as parquet:
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
    """Writes records in row groups of bounded size, and begins a new shard when one is full.

    A shard gets its name when it is whole. One that is there already is not written again: its records are passed over.
    """

    def __init__(self, folder: Path, source: int, first_index: int) -> None:
        self._folder, self._source, self._index = folder, source, first_index
        self._rows: list[tuple[int, int, str, int, int, str, str | None]] = []
        self._characters = 0
        self._in_shard = 0
        self._characters_in_shard = 0
        self._parquet: pq.ParquetWriter | None = None
        self._to_pass_over = 0
        self.shards: list[Shard] = []

    def __enter__(self) -> "_ShardWriter":
        self._folder.mkdir(parents=True, exist_ok=True)
        self._pass_over_finished()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._flush()
            self._finish_shard()
        elif self._parquet is not None:
            self._parquet.close()

    def add(self, record: Record) -> None:
        index, self._index = self._index, self._index + 1
        if self._to_pass_over:
            self._to_pass_over -= 1
            return
        raw = _as_json(record.text if record.error is not None else record.fields)
        origin = record.origin
        self._rows.append((index, self._source, origin.file, origin.row, record.line, raw, record.error))
        self._characters += len(raw)
        if len(self._rows) >= _GROUP_RECORDS or self._characters >= _GROUP_CHARACTERS:
            self._flush()
        if self._in_shard >= _SHARD_RECORDS or self._characters_in_shard >= _SHARD_CHARACTERS:
            self._finish_shard()

    def _flush(self) -> None:
        if not self._rows:
            return
        if self._parquet is None:
            self._parquet = pq.ParquetWriter(self._unfinished(), SCHEMA, compression="zstd")
        values = zip(zip(*self._rows, strict=True), SCHEMA, strict=True)
        columns = [pa.array(column, field.type) for column, field in values]
        self._parquet.write_batch(pa.record_batch(columns, schema=SCHEMA))
        self._in_shard += len(self._rows)
        self._characters_in_shard += self._characters
        self._rows, self._characters = [], 0

    def _finish_shard(self) -> None:
        if self._parquet is None:
            return
        self._parquet.close()
        self._unfinished().replace(self._folder / self._name())
        self.shards.append(Shard(self._name(), self._in_shard))
        self._parquet, self._in_shard, self._characters_in_shard = None, 0, 0

    def _pass_over_finished(self) -> None:
        while (path := self._folder / self._name()).exists():
            count = pq.read_metadata(path).num_rows
            self.shards.append(Shard(path.name, count))
            self._to_pass_over += count

    def _name(self) -> str:
        return f"records-{self._source:03d}-{len(self.shards):05d}.parquet"

    def _unfinished(self) -> Path:
        return self._folder / f".{self._name()}"


def _as_json(value: object) -> str:
    """JSON in plain Unicode; halves of surrogate pairs, which no file can hold, become U+FFFD."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isascii() else LONE_SURROGATE.sub("\ufffd", text)
