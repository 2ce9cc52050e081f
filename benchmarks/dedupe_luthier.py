"""Luthier's side of bench_dedupe: a folder of Parquet files -> the ids of its duplicates, found as `prepare` does."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from luthier.data.dedupe import exact_duplicates, near_duplicates
from luthier.data.engine import daft, running_on, worker_count
from luthier.data.ragged import Hashes, Numbers, Ragged
from luthier.data.sketch import SKETCH_FIELDS, Sketch, sketch

BATCH = 1_000


class Sketcher:
    @daft.method.batch(
        return_dtype=daft.DataType.from_arrow_type(pa.struct(SKETCH_FIELDS)), unnest=True, batch_size=BATCH
    )
    def apply(self, texts: "daft.Series") -> pa.Array:
        made = sketch(texts.to_pylist())
        return pa.StructArray.from_arrays(made.columns(), fields=list(SKETCH_FIELDS))


class InMemory:
    """The sketches of all rows, as `near_duplicates` reads them."""

    def __init__(self, made: Sketch) -> None:
        self._made = made
        self._bands = np.ascontiguousarray(made.bands.T)
        self.word_counts = made.words.lengths.astype(np.int32)

    def band(self, number: int) -> Hashes:
        return self._bands[number]

    def words(self, rows: Numbers) -> Ragged:
        return self._made.words.take(rows)


def duplicates(path: str, threshold: float = 0.8) -> list[int]:
    with running_on("local"):
        sketcher = daft.cls(Sketcher, use_process=True, max_concurrency=worker_count())()
        frame = daft.read_parquet(f"{path}/*.parquet").select("id", sketcher.apply(daft.col("text")))
        batches = sorted(frame.to_arrow_iter(), key=lambda batch: batch["id"][0].as_py())
    table = pa.Table.from_batches(batches)
    assert (np.diff(table["id"].to_numpy()) > 0).all()
    made = Sketch.of_columns(table)
    everyone = np.ones(table.num_rows, np.bool_)
    exact = exact_duplicates(made.keys, everyone, everyone)
    first = everyone.copy()
    first[list(exact)] = False
    near = near_duplicates(InMemory(made), first, first, threshold)
    return [*exact, *near.matches]


def main() -> None:
    source, target = sys.argv[1:]
    started = time.perf_counter()
    dropped = duplicates(source)
    seconds = time.perf_counter() - started
    Path(target).write_text(json.dumps({"seconds": seconds, "dropped": dropped}))


if __name__ == "__main__":
    main()
