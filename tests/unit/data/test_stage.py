from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.data.stage import _partitions, _whole_parts
from luthier.data.staged import Part
from luthier.sources import Manifest, Shard, SourceManifest


def batch(indices: list[int]) -> pa.RecordBatch:
    return pa.record_batch({"index": indices, "said": [f"record {index}" for index in indices]})


@given(st.data(), st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_parts_are_whole_and_in_order_however_batches_come(data: st.DataObject, sizes: list[int]) -> None:
    ends = np.cumsum(sizes).tolist()
    parts = [Part(Path(), end - size, size) for end, size in zip(ends, sizes, strict=True)]
    cuts = sorted(data.draw(st.sets(st.integers(1, ends[-1]))) | {ends[-1]})
    runs = [list(range(start, stop)) for start, stop in zip([0, *cuts], cuts, strict=False) if start < stop]
    runs = [data.draw(st.permutations(run)) for run in data.draw(st.permutations(runs))]
    made = dict(_whole_parts(map(batch, runs), parts))
    assert sorted(made) == list(range(len(parts)))
    for number, table in made.items():
        wanted = list(range(parts[number].first, ends[number]))
        assert table["index"].to_pylist() == wanted
        assert table["said"].to_pylist() == [f"record {index}" for index in wanted]


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_part_comes_as_soon_as_it_is_whole(order: list[int]) -> None:
    batches = [batch([0, 1]), batch([2, 3])]
    parts = [Part(Path(), 0, 2), Part(Path(), 2, 2)]
    made = _whole_parts((batches[place] for place in order), parts)
    assert next(made)[0] == order[0]


@pytest.mark.parametrize(
    ("records", "bytes_each", "groups"),
    [
        ([10] * 50, 100, [50]),
        ([1500, 400, 100, 1, 1], 100, [3, 2]),
        ([5000, 10, 10, 5000], 100, [1, 2, 1]),
        ([10] * 5, 3_000_000, [2, 2, 1]),
        ([], 100, []),
    ],
)
def test_small_shards_share_a_partition(tmp_path: Path, records: list[int], bytes_each: int, groups: list[int]) -> None:
    shards = [Shard(f"records-{number}.parquet", count) for number, count in enumerate(records)]
    for shard in shards:
        with (tmp_path / shard.name).open("wb") as file:
            file.truncate(bytes_each)
    sources = tuple(SourceManifest(shard.name, "", shard.records, 0, (), (shard,)) for shard in shards)
    made = _partitions(Manifest(tmp_path, sources))
    assert [len(group) for group in made] == groups
    assert [shard for group in made for shard in group] == shards
