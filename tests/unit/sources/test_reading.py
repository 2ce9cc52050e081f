import json
import os
from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.sources import read_records


def lines(count: int, broken: set[int]) -> str:
    return "".join(
        '{"a": \n' if number in broken else json.dumps({"a": number}) + "\n" for number in range(1, count + 1)
    )


def refused(path: Path, name: str) -> str:
    with pytest.raises(SourceError) as refusal:
        list(read_records(path, name))
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_too_many_unreadable_records_name_the_first(tmp_path: Path) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text(lines(40, {17, 20}), encoding="utf-8")
    assert refused(path, "tickets.jsonl") == (
        "tickets.jsonl, line 17: not valid JSON: Expecting value at column 6"
        " (2 of 40 records unreadable; at most 1% may be)"
    )


def test_one_in_a_hundred_may_be_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "tickets.jsonl"
    path.write_text(lines(100, {17}), encoding="utf-8")
    found = list(read_records(path, "tickets.jsonl"))
    assert [record.origin.row for record in found if record.error] == [17]
    assert len(found) == 100


def test_missing_empty_and_unknown_files(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("a,b\n", encoding="utf-8")
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "blank.jsonl").write_text("\n\n", encoding="utf-8")
    (tmp_path / "notes.odt").write_text("x", encoding="utf-8")
    (tmp_path / "folder.csv").mkdir()
    assert (
        refused(tmp_path / "tickts.csv", "raw/tickts.csv") == "raw/tickts.csv: no such file (did you mean tickets.csv?)"
    )
    assert refused(tmp_path / "nowhere" / "x.csv", "nowhere/x.csv") == "nowhere/x.csv: no such file"
    assert refused(tmp_path / "empty.jsonl", "empty.jsonl") == "empty.jsonl: the file is empty"
    assert refused(tmp_path / "blank.jsonl", "blank.jsonl") == "blank.jsonl: holds no records"
    assert refused(tmp_path / "tickets.csv", "tickets.csv") == "tickets.csv: holds no records"
    assert refused(tmp_path / "folder.csv", "folder.csv") == "folder.csv: is a folder, not a file"
    assert refused(tmp_path / "notes.odt", "notes.odt").startswith("notes.odt: cannot read files with .odt (.csv, ")


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    assert refused(tmp_path / "pipe.csv", "pipe.csv") == "pipe.csv: is no file"
