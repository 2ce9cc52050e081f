from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from luthier.core.errors import SourceError
from luthier.sources import Record, lines, parquet
from luthier.sources.parquet import read_parquet


def records(path: Path) -> list[Record]:
    return list(read_parquet(path, "t.parquet"))


def test_values_of_all_kinds(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "id": pa.array([1, None]),
            "text": ["a", "b"],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "turns": [[{"role": "user", "content": "hi"}], None],
            "tags": pa.array([[("k", 1.5)], []], pa.map_(pa.string(), pa.float64())),
            "when": pa.array([datetime(2025, 2, 8, tzinfo=UTC), None], pa.timestamp("ns", "UTC")),
            "price": pa.array([Decimal("1.50"), None], pa.decimal128(5, 2)),
            "score": [float("nan"), 0.5],
            "image": [b"\xff\xd8", b"txt"],
        }
    )
    pq.write_table(table, path)
    first, second = records(path)
    assert first.fields == {
        "id": 1,
        "text": "a",
        "kind": "x",
        "turns": [{"role": "user", "content": "hi"}],
        "tags": {"k": 1.5},
        "when": "2025-02-08T00:00:00+00:00",
        "price": "1.50",
        "score": None,
        "image": "[2 bytes]",
    }
    assert second.fields["image"] == "txt"
    assert second.fields["turns"] is None
    assert [record.origin.row for record in (first, second)] == [1, 2]


def test_text_that_is_not_utf8_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    broken = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffb")])
    pq.write_table(pa.table({"text": broken}), path)
    assert [record.fields for record in records(path)] == [{"text": "a\ufffdb"}]


def test_a_row_that_is_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 2_000)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": ["x" * 1_500, "y"], "b": ["x" * 600, "z"]}), path)
    long, good = records(path)
    assert (long.error, long.alone) == ("a row of more than 2,000 characters", True)
    assert good.fields == {"a": "y", "b": "z"}


@pytest.mark.parametrize("cut", [10, 200, -1])
def test_a_cut_off_file_is_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": list(range(1000))}), path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceError, match=r"^t.parquet: is damaged, cut off, or no Parquet file: ") as refusal:
        records(path)
    assert "\n" not in str(refusal.value)


def test_a_claim_of_endless_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_UNSUSPICIOUS_ROWS", 100)
    monkeypatch.setattr(parquet, "_MAX_ROWS_PER_BYTE", 1)
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": pa.nulls(3_000, pa.int8())}), path)
    with pytest.raises(SourceError, match=r"claims 3,000 rows in [\d,]+ bytes: it may be a bomb"):
        records(path)
