from collections.abc import Iterator
from pathlib import Path

import pytest

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import Record, Threading, lines, sample_fields, write_shards
from luthier.sources.threads import gather_threads


def rows(*fields: dict[str, object]) -> Iterator[Record]:
    for number, each in enumerate(fields, start=1):
        yield Record(Origin("t.csv", number), number + 1, each)


def test_rows_are_gathered_wherever_they_stand(tmp_path: Path) -> None:
    found = list(
        gather_threads(
            rows({"id": 1, "text": "a"}, {"id": 2, "text": "b"}, {"id": 1, "text": "c", "by": "x"}),
            *("id", "t.csv", tmp_path / "rows"),
        )
    )
    assert [record.fields for record in found] == [
        {"id": 1, "text": ["a", "c"], "by": [None, "x"]},
        {"id": 2, "text": ["b"]},
    ]
    assert [(record.origin.row, record.line) for record in found] == [(1, 2), (2, 3)]
    assert not list(tmp_path.iterdir())


def test_what_belongs_nowhere_stays_alone(tmp_path: Path) -> None:
    bad = Record(Origin("t.csv", 2), 3, {}, "not valid", "raw \ud83d", alone=True)
    first, *_ = rows({"id": "7", "text": "a"})
    last = Record(Origin("t.csv", 3), 4, {"id": "", "text": "b"})
    other = Record(Origin("t.csv", 4), 5, {"id": None, "text": "c"})
    found = list(gather_threads(iter([first, bad, last, other]), "id", "t.csv", tmp_path / "rows"))
    assert [record.origin.row for record in found] == [1, 2, 3, 4]
    assert found[1] == bad
    assert found[2].fields == {"id": "", "text": ["b"]}


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as refusal:
        list(gather_threads(rows({"Ticket ID": 1, "text": "a"}), "TicketID", "t.csv", tmp_path / "rows"))
    assert str(refusal.value) == (
        "t.csv: no column 'TicketID' to thread by (did you mean Ticket ID? columns: Ticket ID, text)"
    )
    assert not list(tmp_path.iterdir())


def test_a_thread_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 10)
    long, short = gather_threads(
        rows({"id": 1, "text": "abcdef"}, {"id": 1, "text": "ghijkl"}, {"id": 2, "text": "x"}),
        *("id", "t.csv", tmp_path / "rows"),
    )
    assert long.error == "a thread of more than 10 characters"
    assert long.alone
    assert short.fields == {"id": 2, "text": ["x"]}


def test_a_source_says_how_it_is_threaded(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("id,text\n1,a\n2,b\n1,c\n", encoding="utf-8")
    sources = [(path, "t.csv"), (path, "u.csv")]
    manifest = write_shards(sources, tmp_path / "shards", threading=[Threading(thread_by="id"), Threading()])
    assert [source.records for source in manifest.sources] == [2, 3]
    assert sample_fields(manifest, 0) == [{"id": "1", "text": ["a", "c"]}, {"id": "2", "text": ["b"]}]
