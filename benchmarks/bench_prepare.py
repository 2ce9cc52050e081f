"""`luthier prepare` on synthetic conversations: rows a second by stage, peak memory of all its processes, dataset id.

All cleaning steps that are on by default run, with `languages: [en]` beside them. With --kill-after a second workspace
is prepared from the same rows, killed with all its processes (SIGKILL) and begun again: what was finished must not be
done again, and the dataset must be the same.

    python benchmarks/bench_prepare.py [--rows 200000] [--engine local|ray] [--kill-after SECONDS] [--most-memory 4]
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from multiprocessing import Pool
from pathlib import Path

import yaml
from process_tree import Watched, watch
from synthetic_rows import row_at
from tiny_base import save_tiny_base

LUTHIER = [sys.executable, "-c", "import luthier.cli; luthier.cli.main()"]
_CHUNK = 5_000
_STAGES = (
    (re.compile(r"read .*: [\d,]+ records"), "read"),
    (re.compile(r"cleaned ([\d,]+) of \1 records"), "clean"),
    (re.compile(r"writing the dataset"), "find duplicates and split"),
    (re.compile(r"writing the report"), "write the dataset"),
)
"""What is printed when a stage has ended."""


def lay_out(folder: Path, rows: Path, base: Path, engine: str) -> None:
    """A workspace whose raw file is a link to `rows`."""
    (folder / "raw").mkdir(parents=True)
    os.link(rows, folder / "raw" / "conversations.jsonl")
    recipe = {
        "name": "bench",
        "model": {"base": str(base), "dtype": "float32"},
        "data": {
            "sources": [{"path": "raw/conversations.jsonl"}],
            "system": "You are the support assistant of a shop.",
            "clean": {"languages": ["en"]},
            "engine": engine,
        },
    }
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe))


def write_rows(path: Path, count: int) -> None:
    with Pool() as pool, path.open("w") as file:
        file.writelines(pool.imap(_lines, ((start, min(count, start + _CHUNK)) for start in range(0, count, _CHUNK))))


def _lines(span: tuple[int, int]) -> str:
    rows = (row_at(number) for number in range(*span))
    return "".join(json.dumps({"prompt": row.prompt, "completion": row.completion}) + "\n" for row in rows)


def prepare(folder: Path, kill_after: float | None = None) -> Watched:
    return watch([*LUTHIER, "prepare", "--json"], folder, kill_after=kill_after)


def finished(ended: Watched) -> dict[str, object]:
    """What the command printed. Raises SystemExit where it failed."""
    if ended.code:
        raise SystemExit("prepare failed:\n" + "\n".join(line for _, line in ended.lines[-20:]))
    result: dict[str, object] = json.loads(ended.out)
    return result


def show(ended: Watched, rows: int) -> dict[str, object]:
    result = finished(ended)
    ends = [(0.0, "start")]
    for pattern, stage in _STAGES:
        ends += [(seconds, stage) for seconds, line in ended.lines if pattern.fullmatch(line)][:1]
    ends.append((ended.seconds, "report"))
    for (begin, _), (end, stage) in pairwise(ends):
        print(f"{stage:<26} {end - begin:>8.1f} s {rows / (end - begin):>10,.0f} rows/s")
    print(f"{'all':<26} {ended.seconds:>8.1f} s {rows / ended.seconds:>10,.0f} rows/s")
    print(f"processor time {ended.processor_seconds / rows * 1e6:,.0f} µs a row, peak {ended.peak_bytes / 1e9:.2f} GB")
    print(f"{result['dataset']}: kept {result['kept']:,} of {result['read']:,}, {result['reasons']}", flush=True)
    return result


def kill_and_go_on(folder: Path, seconds: float, undisturbed: str) -> None:
    """Prepare, kill, prepare again. Raises SystemExit where finished work was done again or the dataset differs."""
    killed = prepare(folder, kill_after=seconds)
    if killed.code == 0:
        raise SystemExit(f"it was done before {seconds:g} s: kill it sooner")
    parts = len([part for part in folder.glob(".luthier/datasets/.prepare-*/staged/part-*") if part.suffix == ""])
    again = prepare(folder)
    result = finished(again)
    said = "\n".join(line for _, line in again.lines)
    went_on = re.search(r"going on after (\d+) of \d+ partitions", said)
    begun = went_on.group() if went_on else "beginning anew"
    print(f"killed after {killed.seconds:.1f} s with {parts} partitions finished; {begun}")
    print(f"the second run took {again.seconds:.1f} s: {result['dataset']}")
    if parts != (int(went_on[1]) if went_on else 0):
        raise SystemExit("finished partitions were made again")
    if result["dataset"] != undisturbed:
        raise SystemExit(f"another dataset than without a kill: {undisturbed}")


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--engine", default="local", help="local, ray or ray://host:port")
    parser.add_argument("--kill-after", type=float, metavar="SECONDS")
    parser.add_argument("--most-memory", type=float, default=4.0, help="gigabytes; more is a failure")
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    return parser.parse_args(arguments)


def main() -> None:
    chosen = options()
    home = Path(tempfile.mkdtemp(prefix="bench-prepare-", dir=chosen.folder))
    try:
        save_tiny_base(home / "base")
        write_rows(home / "rows.jsonl", chosen.rows)
        print(f"{chosen.rows:,} rows, engine {chosen.engine}, {os.cpu_count()} cores", flush=True)
        for name in ("undisturbed", "killed"):
            lay_out(home / name, home / "rows.jsonl", home / "base", chosen.engine)
        ended = prepare(home / "undisturbed")
        result = show(ended, chosen.rows)
        if chosen.kill_after:
            kill_and_go_on(home / "killed", chosen.kill_after, str(result["dataset"]))
        if ended.peak_bytes > chosen.most_memory * 1e9:
            raise SystemExit(f"more than {chosen.most_memory:g} GB")
    finally:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
