import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.errors import SourceError
from luthier.sources import Record
from luthier.sources.delimited import read_delimited, sniff_delimiter


def records(folder: Path, text: str) -> list[Record]:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return list(read_delimited(path, "raw/t.csv"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_finds_the_delimiter(tmp_path: Path, delimiter: str) -> None:
    text = f"id{delimiter}body\n1{delimiter}so, this; and | that\n2{delimiter}hi\n".replace(
        "so, this; and | that", '"so, this; and | that"'
    )
    assert [record.fields for record in records(tmp_path, text)] == [
        {"id": "1", "body": "so, this; and | that"},
        {"id": "2", "body": "hi"},
    ]


def test_a_single_column_may_hold_commas(tmp_path: Path) -> None:
    assert [record.fields for record in records(tmp_path, "text\nhello, you\nand, so, on\n")] == [
        {"text": "hello, you"},
        {"text": "and, so, on"},
    ]


def test_rows_count_records_and_lines_are_physical(tmp_path: Path) -> None:
    found = records(tmp_path, 'id,body\r\n1,"two\r\nlines"\r\n\r\n2,one\r\n')
    assert [(record.origin.file, record.origin.row, record.line) for record in found] == [
        ("raw/t.csv", 1, 2),
        ("raw/t.csv", 2, 5),
    ]
    assert found[0].fields["body"] == "two\r\nlines"


def test_huge_fields_are_read(tmp_path: Path) -> None:
    (record,) = records(tmp_path, f"id,body\n1,{'x' * 300_000}\n")
    assert len(str(record.fields["body"])) == 300_000


def test_ragged_rows_are_unreadable_but_empty_tails_are_not(tmp_path: Path) -> None:
    short, tail, long = records(tmp_path, "a,b,c\n1,2\n1,2,3,,\n1,2,3,4\n")
    assert short.error == "2 fields where the header has 3"
    assert short.text == "1,2"
    assert tail.error is None
    assert long.error == "4 fields where the header has 3"


def test_an_open_quote_fails_the_file_and_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"raw/t.csv, line 3: a quoted field opens here and never closes"):
        records(tmp_path, 'a,b\n1,2\n3,"open\n5,6\n')


def test_nameless_and_repeated_columns_get_names(tmp_path: Path) -> None:
    (record,) = records(tmp_path, "a, ,a,b\n1,2,3,4\n")
    assert record.fields == {"a": "1", "column_2": "2", "a_2": "3", "b": "4"}


@given(st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), min_size=1, max_size=5))
def test_what_csv_writes_is_sniffed_as_csv(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([["one", "two"], *rows])
    assert sniff_delimiter(text.getvalue()) == ","
