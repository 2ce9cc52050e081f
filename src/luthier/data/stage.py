"""Source shards to cleaned records on disk: the pass of `prepare` that looks at each record alone.

Daft streams the shards through worker processes, on this machine or on a Ray cluster. Records come back to the calling
process, which counts tokens and writes a partition as soon as it is whole.
"""

import gc
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import pyarrow as pa

from luthier.core.errors import TemplateError
from luthier.core.identity import canonical_json
from luthier.core.recipe import OverLength
from luthier.core.rows import Origin, Row
from luthier.data.clean import spoken
from luthier.data.engine import daft, worker_count
from luthier.data.over_length import shorten
from luthier.data.reasons import Dropped, dropped
from luthier.data.row_columns import ROW_FIELDS, row_values, rows_of, shapes_of
from luthier.data.sketch import SKETCH_FIELDS, Sketch, sketch
from luthier.data.staged import RECORDS, Part, Stage
from luthier.data.transform import Outcome, RawRecord, Rules, row_id, transform_records
from luthier.sources import Manifest, Shard

_OUTCOME = pa.struct(
    [
        *ROW_FIELDS,
        *(RECORDS.field(name) for name in ("reasons", "redactions", "original")),
        *SKETCH_FIELDS,
    ]
)
_BATCH = 1_000
_SMALL_RECORDS = 2_000
_SMALL_BYTES = 8_000_000
"""Of shards that make one partition, packed as they are on disk."""
_FEW_RECORDS = 4_000
"""So many are cleaned sooner than processes start."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """`tokens_over(row, limit)` is how many tokens a row has if these are more than `limit`, else None; it raises
    TemplateError for a row that cannot be rendered, or that fits and cannot be trained. `measure` gives the tokens of a
    row that can, and how many of them are targets. `name` tells counters apart whose results differ."""

    name: str
    tokens_over: Callable[[Row, int], int | None]
    measure: Callable[[Row], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class LengthLimit:
    """How long a row may be, in tokens, how they are counted, and what becomes of a row that is longer."""

    max_length: int
    counter: TokenCounter
    policy: OverLength = "drop"

    def apply(self, row: Row) -> Row | Dropped:
        """The row if it fits; a shorter one, with an id of its own and a flag, where the policy has one; or why not."""
        try:
            count = self.counter.tokens_over(row, self.max_length)
            if count is None:
                return row
            shorter = shorten(row, self._fits) if self.policy == "truncate" else None
            if shorter is None or self.counter.tokens_over(shorter, self.max_length) is not None:
                return dropped("too long", f"{count} tokens, at most {self.max_length}")
            left = self._count(shorter)
        except TemplateError as error:
            return dropped("template", str(error))
        flags = (*shorter.flags, f"shortened: {count:,} tokens to {left:,}")
        return replace(shorter, id=row_id(shorter), flags=flags)

    def _fits(self, row: Row) -> bool:
        return self._count(row) <= self.max_length

    def _count(self, row: Row) -> int:
        return self.counter.tokens_over(row, 0) or 0


class RecordTransform:
    """Applies the rules to batches of records; travels to worker processes, so it holds nothing that cannot."""

    def __init__(self, rules: Rules, caller: int) -> None:
        self._rules = rules
        if os.getpid() == caller:
            return
        gc.freeze()  # modules stay until the worker ends: no garbage is looked for in them, now or then
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller to answer

    @daft.method.batch(return_dtype=daft.DataType.from_arrow_type(_OUTCOME), unnest=True, batch_size=_BATCH)  # type: ignore[untyped-decorator]
    def apply(
        self, source: "daft.Series", file: "daft.Series", row: "daft.Series", raw: "daft.Series", error: "daft.Series"
    ) -> pa.Array:
        """Columns of source shards to `_OUTCOME`."""
        columns = (series.to_pylist() for series in (source, file, row, raw, error))
        records = (
            RawRecord(Origin(name, number), place, text, problem)
            for place, name, number, text, problem in zip(*columns, strict=True)
        )
        return _outcome_columns(list(transform_records(records, self._rules)))


def stage_records(
    manifest: Manifest, rules: Rules, limit: LengthLimit, folder: Path, progress: Callable[[str], None]
) -> Stage:
    """Clean all records into partitions under `folder`, one for each shard or for several small ones; those that are
    there already are taken."""
    groups = _partitions(manifest)
    counts = [sum(shard.records for shard in group) for group in groups]
    firsts = [0, *accumulate(counts)]
    parts = [Part(folder / f"part-{n:05d}-{count}", firsts[n], count) for n, count in enumerate(counts)]
    missing = [number for number, part in enumerate(parts) if not part.finished]
    finished = len(parts) - len(missing)
    if finished:
        progress(f"going on after {finished} of {len(parts)} partitions")
    paths = [str(manifest.path(shard)) for number in missing for shard in groups[number]]
    records = sum(counts[number] for number in missing)
    done = manifest.records - records
    batches = (_fitted(batch, limit) for batch in _transformed(paths, records, rules))
    for number, table in _whole_parts(batches, parts):
        parts[number].write(table.select(RECORDS.names).cast(RECORDS), Sketch.of_columns(table))
        done += counts[number]
        progress(f"cleaned {done:,} of {manifest.records:,} records")
    assert all(part.finished for part in parts), "records lost in cleaning"
    return Stage.read(parts)


def _partitions(manifest: Manifest) -> list[list[Shard]]:
    """Shards that follow each other, as many together as are small: folders of little files would else be as many
    partitions, each with files of its own that every band of near-duplicates opens."""
    groups: list[list[Shard]] = []
    records, size = 0, 0
    for shard in manifest.shards():
        records += shard.records
        size += (more := manifest.path(shard).stat().st_size)
        if not groups or records > _SMALL_RECORDS or size > _SMALL_BYTES:
            groups.append([])
            records, size = shard.records, more
        groups[-1].append(shard)
    return groups


def _transformed(paths: Sequence[str], records: int, rules: Rules) -> Iterator[pa.RecordBatch]:
    """The records of these shards, cleaned, in any order."""
    if not paths:
        return
    column = daft.col
    workers = worker_count() if records > _FEW_RECORDS else None
    transform = daft.cls(RecordTransform, use_process=None if workers is None else True, max_concurrency=workers)
    outcome = transform(rules, os.getpid()).apply(*(column(name) for name in ("source", "file", "row", "raw", "error")))
    frame = daft.read_parquet(list(paths)).select("index", "source", "file", "row", outcome)
    yield from frame.to_arrow_iter()


def _whole_parts(batches: Iterator[pa.RecordBatch], parts: Sequence[Part]) -> Iterator[tuple[int, pa.Table]]:
    """(number, records in order) of each partition once all of its records have come."""
    firsts = np.array([part.first for part in parts])
    waiting: dict[int, list[pa.RecordBatch]] = defaultdict(list)
    for batch in batches:
        numbers = np.searchsorted(firsts, batch["index"].to_numpy(), side="right") - 1
        for number in np.unique(numbers).tolist():
            some = waiting[number]
            here = numbers == number
            some.append(batch if here.all() else batch.filter(pa.array(here)))
            if sum(piece.num_rows for piece in some) == parts[number].records:
                yield number, _in_order(waiting.pop(number))


def _in_order(batches: list[pa.RecordBatch]) -> pa.Table:
    """The records by `index`. Batches are in order as a rule, and come in any: to sort these costs nothing."""
    table = pa.Table.from_batches(sorted(batches, key=lambda batch: batch["index"][0].as_py()))
    in_order = (np.diff(table["index"].to_numpy()) > 0).all()
    return table if in_order else table.sort_by("index")


def _outcome_columns(outcomes: Sequence[Outcome]) -> pa.Array:
    made = sketch([outcome.compared for outcome in outcomes])
    rows = [row_values(outcome.row) if outcome.row else {} for outcome in outcomes]
    columns = {field.name: [values.get(field.name) for values in rows] for field in ROW_FIELDS} | {
        "reasons": [list(outcome.reasons) for outcome in outcomes],
        "redactions": [canonical_json(outcome.redactions) for outcome in outcomes],
        "original": [outcome.original for outcome in outcomes],
    }
    arrays = [pa.array(columns[field.name], field.type) for field in _OUTCOME if field.name in columns]
    return pa.StructArray.from_arrays([*arrays, *made.columns()], fields=list(_OUTCOME))


def _fitted(batch: pa.RecordBatch, limit: LengthLimit) -> pa.RecordBatch:
    """The records with what their lengths bring about: reasons to drop them, or shorter rows.

    Cleaning has judged rows at their full length, and so it stays. Duplicates are looked for among rows as they will be
    trained: two that are told apart only by what was cut off are one. So shorter rows get new sketches.
    """
    reasons: dict[int, tuple[str, ...]] = {}
    shorter: dict[int, Row] = {}
    for place, row in enumerate(shapes_of(batch)):
        if row is None:
            continue
        fitted = limit.apply(row)
        if isinstance(fitted, Dropped):
            reasons[place] = fitted.reasons
        elif fitted is not row:
            whole = limit.apply(next(rows_of(batch.slice(place, 1))))
            assert isinstance(whole, Row)
            shorter[place] = whole
    return _with_shorter(_with_reasons(batch, reasons), shorter) if reasons or shorter else batch


def _with_reasons(batch: pa.RecordBatch, more: Mapping[int, tuple[str, ...]]) -> pa.RecordBatch:
    reasons = batch["reasons"].to_pylist()
    for place, some in more.items():
        reasons[place] += some
    return _with_columns(batch, {"reasons": pa.array(reasons, batch["reasons"].type)})


def _with_shorter(batch: pa.RecordBatch, rows: Mapping[int, Row]) -> pa.RecordBatch:
    if not rows:
        return batch
    columns = {field.name: batch[field.name].to_pylist() for field in ROW_FIELDS}
    for place, row in rows.items():
        for name, value in row_values(row).items():
            columns[name][place] = value
    made = Sketch.of_columns(pa.Table.from_batches([batch]))
    made = made.with_others(list(rows), sketch([spoken(row) for row in rows.values()]))
    arrays = {field.name: pa.array(columns[field.name], batch[field.name].type) for field in ROW_FIELDS}
    sketches = {field.name: array for field, array in zip(SKETCH_FIELDS, made.columns(), strict=True)}
    return _with_columns(batch, arrays | sketches)


def _with_columns(batch: pa.RecordBatch, columns: Mapping[str, pa.Array]) -> pa.RecordBatch:
    arrays = [
        columns[field.name].cast(field.type) if field.name in columns else batch[field.name] for field in batch.schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)
