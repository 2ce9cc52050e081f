from pathlib import Path

import pytest

from luthier.core.rows import Message, Origin, Row
from luthier.data.dataset import DatasetWriter
from luthier.data.diff import diff_datasets
from luthier.data.ledger import LedgerEntry


@pytest.fixture
def write(tables):
    def write_fates(folder: Path, records: dict[int, tuple[str, str] | tuple[str]]) -> Path:
        """`{row: (text, split)}` is kept, `{row: ("!reason",)}` dropped."""
        rows, ledger = [], []
        for number, fate in records.items():
            origin = Origin("a.csv", number)
            if fate[0].startswith("!"):
                ledger.append(LedgerEntry(origin, False, (), (fate[0][1:],), "{}"))
                continue
            text, split = fate
            rows.append((Row(f"row-{text}", origin, (Message(role="user", content=text),)), split))
            ledger.append(LedgerEntry(origin, True, (f"row-{text}",), (), "{}"))
        folder.mkdir()
        with DatasetWriter(folder) as writer:
            writer.add(*tables(rows, ledger))
        return folder

    return write_fates


def test_each_record_is_the_same_or_differs_in_one_way(tmp_path, write):
    before = write(
        tmp_path / "before",
        {
            1: ("a", "train"),
            2: ("b", "train"),
            3: ("c", "train"),
            4: ("d", "train"),
            5: ("!too short: 1 words",),
            6: ("!language: fr",),
            7: ("!too short: 2 words",),
            8: ("e", "test"),
        },
    )
    after = write(
        tmp_path / "after",
        {
            1: ("a", "train"),
            2: ("b2", "train"),
            3: ("c", "test"),
            4: ("!near duplicate: of a.csv row 1",),
            5: ("f", "train"),
            6: ("!garbled: symbols",),
            7: ("!too short: 3 words",),
            9: ("g", "train"),
        },
    )
    diff = diff_datasets(before, after)
    assert diff.same == 2
    assert diff.counts == {
        "text changed": 1,
        "moved to another split": 1,
        "no longer kept": 1,
        "kept now": 1,
        "dropped for other reasons": 1,
        "record gone, kept": 1,
        "record new, kept": 1,
    }
    told = {example.origin.row: example.what for example in diff.examples}
    assert told == {
        2: "row-b is now row-b2",
        3: "from train to test",
        4: "dropped now: near duplicate: of a.csv row 1",
        5: "was dropped: too short: 1 words",
        6: "language: fr became garbled: symbols",
        8: "gone: test",
        9: "new: train",
    }


def test_a_dataset_is_the_same_as_itself(tmp_path, write):
    folder = write(tmp_path / "one", {1: ("a", "train"), 2: ("!too short: 1 words",)})
    diff = diff_datasets(folder, folder)
    assert (diff.same, diff.counts, diff.examples) == (2, {}, ())
    assert diff.to_json() == {"same": 2, "counts": {}, "examples": []}
