"""Leakage from training into test: a random split, as most tools draw it, against Luthier's, on the same rows.

A test row leaks when its set of words has a Jaccard likeness of 0.8 or more with a training row. Counted by comparing
every test row with every training row, not by the search that makes the split. Rows come from files that can be
prepared, merged, or are made up where none is named. Fails where a row of Luthier's test leaks.

    python benchmarks/bench_splits.py [FILE …] [--rows 20000] [--test 0.1]
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from synthetic_rows import synthetic_rows

from luthier.core.recipe import CleanSection, DataSection, SourceSection, SplitSection
from luthier.core.rows import SPLITS
from luthier.data import rows_of_file, spoken
from luthier.data.ragged import Ragged
from luthier.data.sketch import comparison_key, word_sets
from luthier.data.split import Bonds, components_of, ranks_of, split_rows

LIKENESS = 0.8
_AT_ONCE = 200
Splits = npt.NDArray[np.int8]


def read_texts(files: Sequence[Path], rows: int) -> tuple[list[str], list[str]]:
    """Texts and their labels, without rows that have the same words in the same order as an earlier one."""
    clean = CleanSection(min_words=0, redact=None)
    data = DataSection(sources=(SourceSection(path="benchmark"),), clean=clean)
    found: dict[str, str] = {}
    if not files:
        found = {row.text: "" for row in synthetic_rows(rows)}
    for path in files:
        for row in rows_of_file(path, path.name, data, "classification"):
            found.setdefault(comparison_key(spoken(row)), row.label or "")
    return list(found), list(found.values())


def random_split(count: int, settings: SplitSection) -> Splits:
    splits = np.zeros(count, np.int8)
    order = np.random.default_rng(settings.seed).permutation(count)
    splits[order[: round(settings.test * count)]] = SPLITS.index("test")
    return splits


def own_split(words: Ragged, labels: Sequence[str], settings: SplitSection) -> Splits:
    count = len(labels)
    alone = Bonds(Ragged(np.empty(0, np.uint64), np.zeros(count + 1, np.int64)), np.empty((0, 2), np.int64))
    ids = np.arange(count).astype(np.bytes_)
    return split_rows(ids, components_of(words, alone), ranks_of([labels]), settings)


def leaking(words: Ragged, splits: Splits) -> int:
    """How many test rows are like a training row: all pairs, by a product of matrices."""
    _, columns = np.unique(words.values, return_inverse=True)
    ones = np.ones(len(columns), np.int32)
    matrix = csr_array((ones, columns, words.offsets), shape=(len(splits), int(columns.max()) + 1))
    test, train = (np.flatnonzero(splits == SPLITS.index(split)) for split in ("test", "train"))
    training, sizes = matrix[train].T.tocsc(), words.lengths
    found = 0
    for start in range(0, len(test), _AT_ONCE):
        some = test[start : start + _AT_ONCE]
        shared = (matrix[some] @ training).toarray()
        union = sizes[some, None] + sizes[None, train] - shared
        found += int((shared >= LIKENESS * union - 1e-9).any(axis=1).sum())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rows", type=int, default=20_000, help="how many are made up where no file is named")
    parser.add_argument("--test", type=float, default=0.1, help="share of the rows")
    chosen = parser.parse_args()
    settings = SplitSection(validation=0, test=chosen.test)
    texts, labels = read_texts(chosen.files, chosen.rows)
    words = word_sets(map(comparison_key, texts))
    started = time.perf_counter()
    own = own_split(words, labels, settings)
    seconds = time.perf_counter() - started
    sides = {"random split": random_split(len(texts), settings), "Luthier": own}
    leaks = {side: leaking(words, splits) for side, splits in sides.items()}
    for side, splits in sides.items():
        count = int((splits == SPLITS.index("test")).sum())
        print(f"{side:<13} {leaks[side]:>6,} of {count:,} test rows leak ({leaks[side] / count:.1%})")
    print(f"{len(texts):,} rows were divided in {seconds:.1f} s")
    if leaks["Luthier"]:
        raise SystemExit("no test row may leak")


if __name__ == "__main__":
    main()
