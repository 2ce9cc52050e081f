import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from openpyxl import Workbook

from luthier.core.errors import SourceError
from luthier.sources import read_records


def fields(path: Path) -> list[object]:
    return [record.fields for record in read_records(path, path.name)]


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as refusal:
        fields(path)
    return str(refusal.value)


@pytest.mark.parametrize("name", ["tickets.csv", "tickets.docx", "tickets"])
def test_a_workbook_is_read_as_one(tmp_path: Path, name: str) -> None:
    workbook = Workbook()
    workbook.active.append(["a"])
    workbook.active.append([1])
    workbook.save(tmp_path / name)
    assert fields(tmp_path / name) == [{"a": 1}]


@pytest.mark.parametrize("name", ["tickets.jsonl", "tickets.txt", "tickets.dat"])
def test_parquet_is_read_as_such(tmp_path: Path, name: str) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / name)
    assert fields(tmp_path / name) == [{"a": 1}]


@pytest.mark.parametrize("name", ["tickets.csv", "tickets.txt", "tickets", "tickets.csv.gz"])
@pytest.mark.parametrize("text", ['{"a": 1}\n{"a": 2}\n', '\ufeff[\n {"a": 1},\n {"a": 2}]'])
def test_json_is_read_as_such(tmp_path: Path, name: str, text: str) -> None:
    content = text.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert fields(tmp_path / name) == [{"a": 1}, {"a": 2}]


def test_a_web_page_that_was_saved_as_a_table(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("<!DOCTYPE html><html><body><p>Please sign in.</p></body></html>", encoding="utf-8")
    assert fields(tmp_path / "t.csv") == [{"title": "", "body": "Please sign in."}]


def test_braces_in_a_table_are_no_json(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("{name},reply\nx,y\n", encoding="utf-8")
    assert fields(tmp_path / "t.csv") == [{"{name}": "x", "reply": "y"}]


def test_what_has_no_reader_is_named(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "t.csv")) as database:
        database.execute("CREATE TABLE a (b)")
    assert refused(tmp_path / "t.csv").startswith("t.csv: is an SQLite database (.csv, .tsv, ")
    (tmp_path / "t.jsonl").write_bytes(b"\x89PNG\r\n")
    assert refused(tmp_path / "t.jsonl").startswith("t.jsonl: is a picture (")
    (tmp_path / "t.csv.gz").write_bytes(b"a,b\n1,2\n")
    assert refused(tmp_path / "t.csv.gz").startswith("t.csv.gz: is not packed, which its ending does not say (")
    (tmp_path / "t.pdf.gz").write_bytes(gzip.compress(b"%PDF-1.4 ..."))
    assert refused(tmp_path / "t.pdf.gz").startswith("t.pdf.gz: ")
    (tmp_path / "t.csv").write_bytes(b"PK\x03\x04" + bytes(100))
    assert refused(tmp_path / "t.csv").startswith("t.csv: is a zip archive (")
    (tmp_path / "t.csv").write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600))
    assert refused(tmp_path / "t.csv").startswith(
        "t.csv: is an Office file that is in the format of Office before 2007"
    )
