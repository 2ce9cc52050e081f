"""Near-duplicates alone: Luthier against datatrove's MinHash pipeline and datasketch's MinHashLSH, on the same rows.

Sides alternate; rows per second are medians of whole runs, from Parquet files to the ids of what is dropped, with the
start of worker processes; beside them the processor time that a row takes over all processes. datatrove and datasketch
run with their own settings in environments of their own, which are made in `--cache` with the versions below. Recall is
the share of planted near duplicates (Jaccard likeness of runs of five words >= 0.8) that are dropped; precision the
share of dropped rows that are as alike as that to another.

Fails where Luthier's recall or precision falls short.

    python benchmarks/bench_dedupe.py [--rows 50000] [--rounds 3] [--alone 400000]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from process_tree import watch
from rivals import CACHE, python_with
from synthetic_rows import LIKENESS, likeness, row_at, synthetic_rows

HERE = Path(__file__).parent
RIVALS: Mapping[str, Sequence[str]] = {
    "datatrove": ("datatrove[processing]==0.10.1", "spacy==3.8.18", "orjson==3.11.9", "pyarrow==25.0.1"),
    "datasketch": ("datasketch==2.0.0", "pyarrow==25.0.1"),
}
SPEED, RATIO, RECALL, PRECISION = 25_000, 5.0, 0.95, 0.99
_FILES = 2
_BATCH = 1_000


@dataclass(slots=True)
class Measured:
    """What the runs of one side gave."""

    rows_per_second: list[float] = field(default_factory=list)
    processor_microseconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    dropped: frozenset[int] = frozenset()


def write_rows(folder: Path, count: int) -> frozenset[int]:
    """Files with `id` and `text`; gives the numbers of the near duplicates among the rows."""
    folder.mkdir()
    rows, planted = synthetic_rows(count), set()
    schema = pa.schema({"id": pa.int64(), "text": pa.string()})
    for number in range(_FILES):
        remaining = islice(rows, -(-count // _FILES))
        with pq.ParquetWriter(folder / f"rows-{number}.parquet", schema) as writer:
            while batch := list(islice(remaining, _BATCH)):
                planted |= {row.number for row in batch if row.source is not None and row.likeness >= LIKENESS}
                columns = [[row.number for row in batch], [row.text for row in batch]]
                writer.write_table(pa.table(columns, schema=schema))
    return frozenset(planted)


def python_of(side: str, cache: Path) -> str:
    """The interpreter of a side; of a rival, in an environment that is made when it is not there yet."""
    if side == "luthier":
        return sys.executable
    return python_with(side, RIVALS[side], cache)


def run_once(side: str, python: str, rows: Path, count: int, measured: Measured) -> None:
    target = rows.with_suffix(".json")
    ended = watch([python, str(HERE / f"dedupe_{side}.py"), str(rows), str(target)], HERE)
    if ended.code:
        raise SystemExit(f"{side} failed:\n" + "\n".join(line for _, line in ended.lines[-20:]))
    result = json.loads(target.read_text())
    measured.rows_per_second.append(count / result["seconds"])
    measured.processor_microseconds.append(ended.processor_seconds / count * 1e6)
    measured.peak_bytes = max(measured.peak_bytes, ended.peak_bytes)
    measured.dropped = frozenset(result["dropped"])


def quality(dropped: frozenset[int], planted: frozenset[int], count: int) -> tuple[float, float]:
    """(recall, precision). Rows are alike only within a family: a row and the variants made of it."""
    families: dict[int, list[int]] = {}
    for row in synthetic_rows(count):
        if row.source is not None:
            families.setdefault(row.source, [row.source]).append(row.number)
    family_of = {number: family for family in families.values() for number in family}
    right = sum(number in planted or _has_twin(number, family_of.get(number, [])) for number in dropped)
    return len(planted & dropped) / len(planted), right / max(1, len(dropped))


def _has_twin(number: int, family: Sequence[int]) -> bool:
    text = row_at(number).text
    return any(likeness(text, row_at(other).text) >= LIKENESS for other in family if other != number)


def show(side: str, measured: Measured, recall: float, precision: float) -> None:
    speed, cost = statistics.median(measured.rows_per_second), statistics.median(measured.processor_microseconds)
    print(
        f"{side:<11} {speed:>9,.0f} rows/s  {cost:>7,.0f} µs/row  recall {recall:.4f}  precision {precision:.4f}"
        f"  dropped {len(measured.dropped):,}  peak {measured.peak_bytes / 1e9:.2f} GB"
        f"  (runs: {', '.join(f'{each:,.0f}' for each in measured.rows_per_second)})",
        flush=True,
    )


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=50_000, help="that all sides get")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", type=int, default=400_000, help="rows for Luthier alone; 0 for none")
    parser.add_argument("--cache", type=Path, default=CACHE)
    return parser.parse_args()


def main() -> None:
    chosen = options()
    sides = ["luthier", *RIVALS]
    pythons = {side: python_of(side, chosen.cache) for side in sides}
    measured = {side: Measured() for side in sides}
    with tempfile.TemporaryDirectory() as scratch:
        rows = Path(scratch, "rows")
        planted = write_rows(rows, chosen.rows)
        print(f"{chosen.rows:,} rows, {len(planted):,} near duplicates, {os.cpu_count()} cores", flush=True)
        for _ in range(chosen.rounds):
            for side in sides:
                run_once(side, pythons[side], rows, chosen.rows, measured[side])
        qualities = {side: quality(measured[side].dropped, planted, chosen.rows) for side in sides}
        for side in sides:
            show(side, measured[side], *qualities[side])
        if chosen.alone:
            alone, many = Measured(), Path(scratch, "many")
            planted = write_rows(many, chosen.alone)
            for _ in range(chosen.rounds):
                run_once("luthier", pythons["luthier"], many, chosen.alone, alone)
            qualities["alone"] = quality(alone.dropped, planted, chosen.alone)
            measured["alone"] = alone
            show(f"{chosen.alone:,}", alone, *qualities["alone"])
    speeds = {side: statistics.median(each.rows_per_second) for side, each in measured.items()}
    for rival in RIVALS:
        print(f"Luthier is {speeds['luthier'] / speeds[rival]:.1f} times as fast as {rival} (wanted: {RATIO:g})")
    if "alone" in speeds:
        print(f"Luthier alone: {speeds['alone']:,.0f} rows/s (wanted: {SPEED:,})")
    ours = [quality for name, quality in qualities.items() if name not in RIVALS]
    if any(recall < RECALL or precision < PRECISION for recall, precision in ours):
        raise SystemExit(f"recall {RECALL} and precision {PRECISION} are wanted")


if __name__ == "__main__":
    main()
