"""datasketch's side of bench_dedupe: MinHash over runs of five words and MinHashLSH, row by row.

Runs in the environment of datasketch, without Luthier. What the index offers counts as a duplicate, as in its guide.
"""

import json
import re
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
from datasketch import MinHash, MinHashLSH

THRESHOLD = 0.8
PERMUTATIONS = 128
BATCH = 1_000
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def shingles(text: str) -> list[bytes]:
    words = WORD.findall(text.lower())
    return [" ".join(words[start : start + 5]).encode() for start in range(len(words) - 4)]


def duplicates(rows: Path) -> list[int]:
    index = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS)
    dropped = []
    for path in sorted(rows.glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
            texts = batch["text"].to_pylist()
            hashes = MinHash.bulk([shingles(text) for text in texts], num_perm=PERMUTATIONS)
            for row, minhash in zip(batch["id"].to_pylist(), hashes, strict=True):
                if index.query(minhash):
                    dropped.append(row)
                else:
                    index.insert(row, minhash, check_duplication=False)
    return dropped


def main() -> None:
    rows, target = sys.argv[1:]
    started = time.perf_counter()
    dropped = duplicates(Path(rows))
    seconds = time.perf_counter() - started
    Path(target).write_text(json.dumps({"seconds": seconds, "dropped": dropped}))


if __name__ == "__main__":
    main()
