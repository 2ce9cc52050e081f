"""Cleaned records on disk between the passes of `prepare`: a folder for each partition."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from luthier.core.files import atomic_directory
from luthier.core.rows import Row
from luthier.data.ragged import Hashes, Numbers, Ragged, ShortHashes, joined, offsets_of
from luthier.data.row_columns import ROW_FIELDS, rows_of
from luthier.data.sketch import BANDS, Sketch, as_sets

Mask = npt.NDArray[np.bool_]

RECORDS = pa.schema(
    [
        pa.field("index", pa.int64()),
        pa.field("source", pa.int32()),
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        *ROW_FIELDS,
        pa.field("reasons", pa.list_(pa.string())),
        pa.field("redactions", pa.string()),
        pa.field("original", pa.string()),
    ]
)
"""`id` is null where a record gave no row; `reasons` are those to drop it that the record alone gives."""

_RECORDS, _BANDS, _WORDS, _SMALL = "records.parquet", "bands.bin", "words.bin", "small.npz"
_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Part:
    """A partition: `records` records from number `first` on. Its folder is there when it is finished, and whole."""

    folder: Path
    first: int
    records: int

    @property
    def finished(self) -> bool:
        return self.folder.is_dir()

    @property
    def span(self) -> slice:
        return slice(self.first, self.first + self.records)

    def write(self, records: pa.Table, made: Sketch) -> None:
        """Write the records, which have the schema `RECORDS`, and their sketch."""
        small = {
            "keys": made.keys,
            "word_counts": made.words.lengths.astype(np.int32),
            "present": records["id"].is_valid().to_numpy(),
            "eligible": pc.equal(pc.list_value_length(records["reasons"]), 0).to_numpy(),
        }
        with atomic_directory(self.folder) as partial:
            place = partial / _RECORDS
            pq.write_table(records, place, compression="zstd", use_dictionary=["file"], write_statistics=False)
            _write_hashes(partial / _BANDS, [np.ascontiguousarray(made.bands.T)])
            _write_hashes(partial / _WORDS, [made.words.values])
            np.savez(partial / _SMALL, **small)

    def small(self, name: str) -> npt.NDArray[np.generic]:
        """One of the arrays of length records: `keys`, `word_counts`, `present`, `eligible`."""
        with np.load(self.folder / _SMALL) as arrays:
            array: npt.NDArray[np.generic] = arrays[name]
            return array

    def records_table(self) -> pa.Table:
        return pq.read_table(self.folder / _RECORDS)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self.folder / _RECORDS) as parquet:
            yield from parquet.iter_batches(batch_size=_BATCH, columns=list(columns))

    def band(self, number: int) -> Hashes:
        bands: Hashes = _map_hashes(self.folder / _BANDS, np.uint64).reshape(BANDS, self.records)[number]
        return bands

    def words(self) -> Ragged:
        """Mapped from disk."""
        return Ragged(_map_hashes(self.folder / _WORDS, np.uint64), offsets_of(self.small("word_counts").astype(int)))


@dataclass(frozen=True, slots=True)
class Stage:
    """All records, in the order of the sources, and a few arrays of length records.

    `keys` are hashes of what rows are compared by; `present` says which records gave a row, `eligible` which of these
    have no reason to be dropped so far; `word_counts` how many words are compared.
    """

    parts: tuple[Part, ...]
    keys: Hashes
    present: Mask
    eligible: Mask
    word_counts: npt.NDArray[np.int32]

    @classmethod
    def read(cls, parts: Sequence[Part]) -> "Stage":
        """The stage that these finished partitions make up."""
        names = ("keys", "present", "eligible", "word_counts")
        return cls(tuple(parts), *(np.concatenate([part.small(name) for part in parts]) for name in names))

    def band(self, number: int) -> Hashes:
        """One band of every record; 8 bytes each."""
        return np.concatenate([part.band(number) for part in self.parts])

    def words(self, rows: Numbers) -> Ragged:
        """Hashes of the words of these records, which ascend, as they stand in the text."""
        return joined([part.words().take(rows[here] - part.first) for part, here in self._spans(rows)])

    def write_word_sets(self, kept: Mask, path: Path) -> "WordSets":
        """Write the words of each record kept, in order and `as_sets`, to `path`."""
        counts = []

        def values() -> Iterator[ShortHashes]:
            for part in self.parts:
                sets = as_sets(part.words().take(np.flatnonzero(kept[part.span])))
                counts.append(sets.lengths)
                yield sets.values

        _write_hashes(path, values())
        return WordSets(path, offsets_of(np.concatenate(counts)))

    def rows(self, kept: Mask) -> Iterator[tuple[int, Row]]:
        """(index, row) of the records kept, in order; in memory a batch at a time."""
        indices = iter(np.flatnonzero(kept).tolist())
        for batch in self.batches(kept, ["file", "row", *(field.name for field in ROW_FIELDS)]):
            yield from zip(islice(indices, batch.num_rows), rows_of(batch), strict=True)

    def batches(self, kept: Mask, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """These columns of the records kept, in order."""
        for part in self.parts:
            index = part.first
            for batch in part.batches(columns):
                yield batch.filter(pa.array(kept[index : index + batch.num_rows]))
                index += batch.num_rows

    def _spans(self, rows: Numbers) -> Iterator[tuple[Part, slice]]:
        """The parts that some of the rows lie in, and which rows those are."""
        edges = np.searchsorted(rows, [*(part.first for part in self.parts), len(self.keys)])
        for part, start, stop in zip(self.parts, edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if start < stop:
                yield part, slice(start, stop)


@dataclass(frozen=True, slots=True)
class WordSets:
    """Sets of words in a file."""

    path: Path
    offsets: Numbers

    def mapped(self) -> Ragged:
        """The sets, from disk as they are needed. Pages that were read count as memory of the process while this
        mapping is in use: take another one for each use."""
        return Ragged(_map_hashes(self.path, np.uint32), self.offsets)


def redaction_counts(table: pa.Table) -> Mapping[str, int]:
    """What was masked in these records, by kind."""
    totals: dict[str, int] = {}
    for entry in table["redactions"].value_counts().to_pylist():
        for kind, count in json.loads(entry["values"]).items():
            totals[kind] = totals.get(kind, 0) + count * entry["counts"]
    return totals


def _write_hashes(path: Path, arrays: Iterable[Hashes | ShortHashes]) -> None:
    """Write the arrays one after the other. By the file's own `write`, whose error says that a disk is full."""
    with path.open("wb") as file:
        for array in arrays:
            file.write(np.ascontiguousarray(array).data)


def _map_hashes(path: Path, dtype: type[np.unsignedinteger[Any]]) -> npt.NDArray[Any]:
    """What `_write_hashes` wrote, end to end, read from disk as it is needed."""
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.empty(0, dtype)
