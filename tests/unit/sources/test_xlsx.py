import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from openpyxl import Workbook

from luthier.core.errors import SourceError
from luthier.sources import Record, archives
from luthier.sources.xlsx import read_xlsx


def written(path: Path, sheets: dict[str, list[list[object]]]) -> Path:
    workbook = Workbook()
    workbook.remove(workbook.active)
    for title, rows in sheets.items():
        sheet = workbook.create_sheet(title)
        for row in rows:
            sheet.append(row)
    workbook.save(path)
    return path


def records(path: Path) -> list[Record]:
    return list(read_xlsx(path, "raw/t.xlsx"))


def refused(path: Path) -> str:
    with pytest.raises(SourceError) as refusal:
        records(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_rows_of_one_sheet(tmp_path: Path) -> None:
    rows: list[list[object]] = [
        [None, None],
        ["id", " body ", None, "when"],
        [1, "Where?", None, datetime(2025, 2, 8, 16, 57)],
        [],
        [2.5, None, "x"],
    ]
    first, second = records(written(tmp_path / "t.xlsx", {"Tickets": rows, "Empty": []}))
    assert first.fields == {"id": 1, "body": "Where?", "column_3": None, "when": "2025-02-08T16:57:00"}
    assert second.fields == {"id": 2.5, "body": None, "column_3": "x", "when": None}
    assert [(record.origin.row, record.line) for record in (first, second)] == [(1, 3), (2, 5)]


def test_every_sheet_is_read_and_named(tmp_path: Path) -> None:
    sheets: dict[str, list[list[object]]] = {"May": [["a"], ["x"], ["y"]], "June": [["b"], ["z"]]}
    assert [record.fields for record in records(written(tmp_path / "t.xlsx", sheets))] == [
        {"a": "x", "sheet": "May"},
        {"a": "y", "sheet": "May"},
        {"b": "z", "sheet": "June"},
    ]


def test_a_cell_beyond_the_header_makes_a_row_unreadable(tmp_path: Path) -> None:
    good, bad = records(written(tmp_path / "t.xlsx", {"T": [["a", "b"], [1, 2], [1, 2, None, 4]]}))
    assert good.error is None
    assert bad.error == "4 cells where the header has 2"
    assert bad.text == "1 | 2 |  | 4"


def test_a_wrong_size_in_the_file_is_not_believed(tmp_path: Path) -> None:
    whole = written(tmp_path / "w.xlsx", {"T": [["a", "b"], [1, 2], [3, 4]]})
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            target.writestr(member, source.read(member).replace(b'<dimension ref="A1:B3"', b'<dimension ref="A1"'))
    assert [record.fields for record in records(path)] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


def test_a_row_number_beyond_any_sheet_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "w.xlsx", {"T": [["a"], [1]]})
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            target.writestr(member, source.read(member).replace(b'<row r="2"', b'<row r="99999999999"'))
    assert "sheet T: has rows beyond the last one possible" in refused(path)


def test_locked_old_damaged_and_other_files_are_told(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    ole = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(2000)
    path.write_bytes(ole + "EncryptedPackage".encode("utf-16-le") + bytes(100))
    assert refused(path) == (
        "raw/t.xlsx: is protected with a password (save a copy as .xlsx or .docx without a password)"
    )
    path.write_bytes(ole)
    assert "is in the format of Office before 2007" in refused(path)
    path.write_bytes(b"id,body\n1,x\n")
    assert "is damaged or cut off: File is not a zip file" in refused(path)
    whole = written(tmp_path / "w.xlsx", {"T": [["a"], [1]]}).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is damaged or cut off" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "x")
    assert "is no Excel workbook" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x>")
    assert "is damaged, or no workbook that can be read" in refused(path)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "unpacked_limit", lambda packed: 200 * packed)
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(4 << 20))
    assert "it may be a zip bomb" in refused(path)
