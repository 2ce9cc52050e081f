"""Each record is written once: its row with split and flags, or all reasons why there is none."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from luthier.core.rows import Origin, Row
from luthier.data.dataset import iterate_rows, read_ledger
from luthier.data.dedupe import Match
from luthier.data.passes import Remarks
from luthier.data.staged import Stage
from luthier.data.writing import NO_SPLIT, Duplicates, Verdicts, write_dataset
from luthier.sources.shards import Manifest, SourceManifest

TRAIN, VALIDATION, TEST = range(3)


def row(number: int, *flags: str) -> Row:
    return Row(f"row-{number}", Origin("f", number + 1), text=f"text {number}", flags=flags)


RECORDS = [row(0), "unreadable: x", (row(2), "too short: 1"), row(3, "shortened: a"), row(4), row(5), row(6)]
DUPLICATES = Duplicates({4: 0}, {5: Match(3, 0.914)})
REMARKS = Remarks({6: ["held out: y"]}, {3: ["label noise: z"], 0: ["uneven treatment: w"]})


def verdicts(splits: Sequence[int], duplicates: Duplicates = DUPLICATES, remarks: Remarks = REMARKS) -> Verdicts:
    return Verdicts(np.array(splits, np.int8), duplicates, remarks)


def manifest(records: int) -> Manifest:
    return Manifest(Path(), (SourceManifest("f", "0" * 64, records, 0, (), ()),))


SPLITS = [TRAIN, NO_SPLIT, NO_SPLIT, TEST, NO_SPLIT, NO_SPLIT, NO_SPLIT]


def written(stage: Stage, folder: Path, given: Verdicts) -> tuple[str, dict[str, object]]:
    folder.mkdir()
    return write_dataset(stage, given, manifest(len(stage.keys)), folder)


def test_rows_ledger_and_counts_agree(staged: Callable[..., Stage], tmp_path: Path) -> None:
    _, report = written(staged(RECORDS[:4], RECORDS[4:]), tmp_path / "d", verdicts(SPLITS))
    rows = list(iterate_rows(tmp_path / "d"))
    assert rows == [(row(0, "uneven treatment: w"), "train"), (row(3, "shortened: a", "label noise: z"), "test")]
    entries = list(read_ledger(tmp_path / "d"))
    assert [entry.reasons for entry in entries] == [
        (),
        ("unreadable: x",),
        ("too short: 1",),
        (),
        ("exact duplicate: of f row 1",),
        ("near duplicate: of f row 4, 91% alike",),
        ("held out: y",),
    ]
    assert [entry.row_ids for entry in entries if entry.kept] == [("row-0",), ("row-3",)]
    assert [entry.flags for entry in entries if entry.flags] == [kept.flags for kept, _ in rows]
    assert [entry.original for entry in entries] == [f'{{"record": {number}}}' for number in range(7)]
    assert report == {
        "read": 7,
        "kept": 2,
        "dropped": 5,
        "splits": {"train": 1, "validation": 0, "test": 1},
        "files": [{"path": "f", "read": 7, "kept": 2, "dropped": 5}],
        "reasons": {"unreadable": 1, "too short": 1, "exact duplicate": 1, "near duplicate": 1, "held out": 1},
        "redactions": {"email": 7},
    }


@pytest.mark.parametrize("cut", [1, 3, 6, 7])
def test_partitions_make_no_other_dataset(staged: Callable[..., Stage], tmp_path: Path, cut: int) -> None:
    whole, _ = written(staged(RECORDS), tmp_path / "one", verdicts(SPLITS))
    parts, _ = written(staged(RECORDS[:cut], RECORDS[cut:]), tmp_path / "two", verdicts(SPLITS))
    assert parts == whole


def test_splits_and_flags_count_in_the_id(staged: Callable[..., Stage], tmp_path: Path) -> None:
    stage = staged(RECORDS)
    ids = [
        written(stage, tmp_path / "a", verdicts(SPLITS))[0],
        written(stage, tmp_path / "b", verdicts([VALIDATION, *SPLITS[1:]]))[0],
        written(stage, tmp_path / "c", verdicts(SPLITS, remarks=Remarks(REMARKS.reasons, {})))[0],
    ]
    assert len(set(ids)) == 3


def test_a_record_that_is_neither_kept_nor_dropped_is_a_fault(staged: Callable[..., Stage], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="neither kept nor dropped"):
        written(staged([row(0)]), tmp_path / "d", verdicts([NO_SPLIT], Duplicates({}, {}), Remarks()))


def test_records_that_are_missing_are_noticed(staged: Callable[..., Stage], tmp_path: Path) -> None:
    tmp_path.joinpath("d").mkdir()
    with pytest.raises(AssertionError, match="records lost"):
        write_dataset(staged([row(0)]), verdicts([TRAIN], Duplicates({}, {}), Remarks()), manifest(2), tmp_path / "d")
