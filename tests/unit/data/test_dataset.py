import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from luthier.core.errors import DatasetError
from luthier.core.rows import Message, Origin, Row, Split, ToolCall
from luthier.data import export, read_ledger, read_report, read_rows
from luthier.data.dataset import DatasetWriter
from luthier.data.ledger import LedgerEntry

Tables = Callable[..., tuple[pa.Table, pa.Table]]

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


def write(folder: Path, tables: Tables, cuts: Sequence[int] = ()) -> str:
    """Write the rows and entries above, cut into several tables at these places."""
    rows, ledger = tables([(CHAT, "train"), (TEXT, "test")], [entry(CHAT), entry(TEXT), GONE])
    with DatasetWriter(folder) as writer:
        for start, stop in pairwise([0, *cuts, ledger.num_rows]):
            writer.add(rows.slice(start, stop - start), ledger.slice(start, stop - start))
    return writer.dataset_id()


def test_what_is_written_is_read(tmp_path: Path, tables: Tables) -> None:
    write(tmp_path, tables)
    assert read_rows(tmp_path, "train") == [CHAT]
    assert read_rows(tmp_path, "test") == [TEXT]
    assert read_rows(tmp_path, "validation") == []
    assert list(read_ledger(tmp_path)) == [entry(CHAT), entry(TEXT), GONE]


def test_the_id_is_the_content_s(tmp_path: Path, tables: Tables) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    whole = write(tmp_path / "one", tables)
    assert (
        whole
        == write(tmp_path / "two", tables)
        == write(tmp_path / "two", tables, [1])
        == write(tmp_path / "two", tables, [1, 2])
    )


@pytest.mark.parametrize(
    "rows",
    [
        [(CHAT, "test"), (TEXT, "test")],
        [(CHAT, "train")],
        [(TEXT, "test"), (CHAT, "train")],
        [(replace(CHAT, groups=("customer_id", "=7")), "train"), (TEXT, "test")],
        [(replace(CHAT, label=""), "train"), (TEXT, "test")],
        [(replace(CHAT, origin=Origin("a.csvb", 1)), "train"), (replace(TEXT, origin=Origin(".md", 4)), "test")],
    ],
)
def test_other_content_has_another_id(tmp_path: Path, tables: Tables, rows: Sequence[tuple[Row, Split]]) -> None:
    with DatasetWriter(tmp_path) as writer:
        writer.add(*tables(rows, [*(entry(row) for row, _ in rows), GONE]))
    assert writer.dataset_id() != write(tmp_path, tables)


def test_export_leaves_nothing_of_a_row_out(tmp_path: Path, tables: Tables) -> None:
    call: ToolCall = {"type": "function", "function": {"name": "find", "arguments": {"id": 7}}}
    asked: tuple[Message, ...] = ({"role": "user", "content": "Where is parcel 7?"},)
    full = Row(
        "row-9",
        Origin("a.csv", 9),
        messages=(*asked, {"role": "assistant", "content": "", "tool_calls": [call]}),
        tools=({"name": "find"},),
        label="delivery",
        rejected=({"role": "assistant", "content": "No idea."},),
        rating="up",
        flags=("open: nobody answered last",),
    )
    with DatasetWriter(tmp_path) as writer:
        writer.add(*tables([(full, "train")], [entry(full)]))
    [line] = [json.loads(line) for line in export(tmp_path, tmp_path / "out")[0].read_text("utf-8").splitlines()]
    assert line == {
        "id": "row-9",
        "messages": list(full.messages),
        "tools": [{"name": "find"}],
        "label": "delivery",
        "rejected": list(full.rejected),
        "rating": "up",
        "flags": ["open: nobody answered last"],
        "source": {"file": "a.csv", "row": 9},
    }


def test_export_has_a_line_for_each_row_and_record(tmp_path: Path, tables: Tables) -> None:
    write(tmp_path, tables)
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
        "flags": [],
        "original": {"text": "x"},
    }
    assert (target / "notes.txt").read_text("utf-8") == "mine"


def test_export_of_a_damaged_dataset_replaces_nothing(tmp_path: Path, tables: Tables) -> None:
    write(tmp_path, tables)
    (tmp_path / "ledger.parquet").write_text("not parquet", encoding="utf-8")
    target = tmp_path / "out"
    target.mkdir()
    (target / "train.jsonl").write_text("before", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"ledger\.parquet"):
        export(tmp_path, target)
    assert [(path.name, path.read_text("utf-8")) for path in target.iterdir()] == [("train.jsonl", "before")]


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"rows\.parquet: the dataset .*: there is no such file"):
        read_rows(tmp_path, "train")
    (tmp_path / "ledger.parquet").write_text("not parquet", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"ledger\.parquet"):
        list(read_ledger(tmp_path))
    with pytest.raises(DatasetError, match=r"report\.json"):
        read_report(tmp_path)


def test_a_table_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"split": ["train"], "a": [1]}), tmp_path / "rows.parquet")
    with pytest.raises(DatasetError, match=r"it has no column file \(make it anew with: luthier prepare\)"):
        read_rows(tmp_path, "train")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"read": 3'])
def test_a_damaged_report_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(DatasetError, match=r"report\.json: .* \(make it anew with: luthier prepare\)"):
        read_report(tmp_path)
