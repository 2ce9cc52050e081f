import json
from pathlib import Path

import pytest

from luthier.core.errors import DatasetError
from luthier.core.rows import Message, Origin, Row
from luthier.data import export, read_ledger, read_report, read_rows
from luthier.data.dataset import DatasetWriter
from luthier.data.ledger import LedgerEntry

CHAT = Row(
    "row-1",
    Origin("a.csv", 1),
    (Message(role="user", content="Ça va ?"), Message(role="assistant", content="Oui\n…")),
    groups=("customer_id=7",),
)
TEXT = Row("row-2", Origin("b.md", 4), text="Plain words.")
GONE = LedgerEntry(Origin("b.md", 5), False, (), ("too short: 1 words",), '{"text": "x"}')


def entry(row: Row) -> LedgerEntry:
    return LedgerEntry(row.origin, True, (row.id,), (), "{}")


def write(folder: Path) -> str:
    with DatasetWriter(folder) as writer:
        writer.add(entry(CHAT), CHAT, "train")
        writer.add(entry(TEXT), TEXT, "test")
        writer.add(GONE, None, None)
    return writer.dataset_id()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_rows(tmp_path, "train") == [CHAT]
    assert read_rows(tmp_path, "test") == [TEXT]
    assert read_rows(tmp_path, "validation") == []
    assert list(read_ledger(tmp_path)) == [entry(CHAT), entry(TEXT), GONE]


def test_the_id_is_the_content_s(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert write(tmp_path / "one") == write(tmp_path / "two")
    with DatasetWriter(tmp_path / "one") as writer:
        writer.add(entry(CHAT), CHAT, "test")
    assert writer.dataset_id() != write(tmp_path / "two")


def test_export_has_a_line_for_each_row_and_record(tmp_path: Path) -> None:
    write(tmp_path)
    target = tmp_path / "out"
    target.mkdir()
    (target / "notes.txt").write_text("mine", encoding="utf-8")
    paths = export(tmp_path, target)
    assert [path.name for path in paths] == ["train.jsonl", "validation.jsonl", "test.jsonl", "ledger.jsonl"]
    lines = {path.stem: [json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in paths}
    assert lines["train"] == [
        {"id": "row-1", "messages": list(CHAT.messages), "source": {"file": "a.csv", "row": 1}},
    ]
    assert lines["test"] == [{"id": "row-2", "text": "Plain words.", "source": {"file": "b.md", "row": 4}}]
    assert lines["validation"] == []
    assert lines["ledger"][2] == {
        "source": {"file": "b.md", "row": 5},
        "kept": False,
        "rows": [],
        "reasons": ["too short: 1 words"],
        "original": {"text": "x"},
    }
    assert (target / "notes.txt").read_text("utf-8") == "mine"


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"rows\.parquet: no dataset here"):
        read_rows(tmp_path, "train")
    (tmp_path / "ledger.parquet").write_text("not parquet", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"ledger\.parquet"):
        list(read_ledger(tmp_path))
    with pytest.raises(DatasetError, match=r"report\.json"):
        read_report(tmp_path)
