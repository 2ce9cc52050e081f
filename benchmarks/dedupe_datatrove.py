"""datatrove's side of bench_dedupe: its MinHash pipeline with its own settings, two tasks at a time.

Runs in the environment of datatrove, without Luthier.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import ParquetReader
from datatrove.pipeline.writers import JsonlWriter

WORKERS = 2


def duplicates(rows: str, scratch: Path) -> list[int]:
    config = MinhashConfig()
    signatures, buckets, clusters, dropped, logs = (
        str(scratch / name) for name in ("signatures", "buckets", "clusters", "dropped", "logs")
    )

    def run(pipeline: list[object], tasks: int) -> None:
        LocalPipelineExecutor(pipeline, tasks=tasks, workers=WORKERS, logging_dir=logs, skip_completed=False).run()

    run([ParquetReader(rows), MinhashDedupSignature(signatures, config)], WORKERS)
    run([MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets)
    run([MinhashDedupCluster(buckets, clusters, config=config)], 1)
    written = JsonlWriter(dropped, compression=None)
    run([ParquetReader(rows), MinhashDedupFilter(clusters, exclusion_writer=written)], WORKERS)
    lines = (line for file in Path(dropped).glob("*.jsonl") for line in file.open(encoding="utf-8"))
    return [int(json.loads(line)["id"]) for line in lines]


def main() -> None:
    rows, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        dropped = duplicates(rows, Path(scratch))
        seconds = time.perf_counter() - started
    Path(target).write_text(json.dumps({"seconds": seconds, "dropped": dropped}))


if __name__ == "__main__":
    main()
