import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from luthier.core.errors import SourceError
from luthier.core.identity import file_digest
from luthier.sources import Record, read_records, sample_fields, shards, write_shards


def test_shards_hold_every_record_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_GROUP_RECORDS", 7)
    monkeypatch.setattr(shards, "_SHARD_RECORDS", 20)
    first, second = tmp_path / "a.jsonl", tmp_path / "b.csv"
    broken = {5}
    text = "".join("{\n" if number in broken else json.dumps({"n": number}) + "\n" for number in range(1, 131))
    first.write_text(text, encoding="utf-8")
    second.write_text("x,y\n1,2\n", encoding="utf-8")
    told: list[str] = []
    manifest = write_shards([(first, "a.jsonl"), (second, "b.csv")], tmp_path / "shards", told.append)

    tables = [pq.read_table(path) for path in map(manifest.path, manifest.shards())]
    rows = [row for table in tables for row in table.to_pylist()]
    assert len(tables) > 2
    assert [row["index"] for row in rows] == list(range(131))
    assert [row["row"] for row in rows] == [*range(1, 131), 1]
    assert rows[4]["error"].startswith("not valid JSON")
    assert json.loads(rows[4]["raw"]) == "{"
    assert json.loads(rows[130]["raw"]) == {"x": "1", "y": "2"}
    assert [row["source"] for row in rows] == [0] * 130 + [1]
    assert told == ["read a.jsonl: 130 records", "read b.csv: 1 records"]

    assert manifest.records == 131
    assert manifest.sources[0].unreadable == 1
    assert manifest.sources[1].fields == ("x", "y")
    assert manifest.sources[0].digest == file_digest([first])
    assert [table.num_rows for table in tables] == [shard.records for shard in manifest.shards()]
    assert sample_fields(manifest, 0, limit=5) == [{"n": number} for number in (1, 2, 3, 4, 6)]


def test_half_a_surrogate_pair_can_be_stored(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "broken \\ud83d emoji"}\n', encoding="utf-8")
    manifest = write_shards([(path, "a.jsonl")], tmp_path / "shards")
    assert sample_fields(manifest, 0) == [{"text": "broken \ufffd emoji"}]


def test_a_refused_file_closes_its_shard(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"a\.jsonl, line 1"):
        write_shards([(path, "a.jsonl")], tmp_path / "shards")


def test_reading_goes_on_after_the_last_whole_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_GROUP_RECORDS", 5)
    monkeypatch.setattr(shards, "_SHARD_RECORDS", 10)
    source, folder = tmp_path / "a.jsonl", tmp_path / "shards"
    source.write_text("".join(json.dumps({f"n{number}": number}) + "\n" for number in range(38)), encoding="utf-8")

    def stop_reading(path: Path, name: str, agents: Sequence[str]) -> Iterator[Record]:
        yield from islice(read_records(path, name, agents), 27)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shards, "read_records", stop_reading)
        with pytest.raises(KeyboardInterrupt):
            write_shards([(source, "a.jsonl")], folder)
    finished = {path.name: path.stat().st_ino for path in folder.glob("records-*")}
    assert len(finished) == 2

    resumed = write_shards([(source, "a.jsonl")], folder)
    assert {name: (folder / name).stat().st_ino for name in finished} == finished
    whole = write_shards([(source, "a.jsonl")], tmp_path / "whole")
    assert resumed.sources == whole.sources
    assert [pq.read_table(resumed.path(shard)) for shard in resumed.shards()] == [
        pq.read_table(whole.path(shard)) for shard in whole.shards()
    ]
    told: list[str] = []
    assert write_shards([(source, "a.jsonl")], folder, told.append) == resumed
    assert told == []
