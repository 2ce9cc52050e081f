"""Cleaned records come back from disk as they went, over all partitions, in order."""

from collections.abc import Callable

import numpy as np
import pytest

from luthier.core.rows import Origin, Row
from luthier.data.sketch import BANDS, sketch
from luthier.data.staged import Part, Stage, redaction_counts

Staged = Callable[..., Stage]


def row(number: int, text: str) -> Row:
    return Row(f"row-{number}", Origin("f", number + 1), text=text, flags=("a: b",))


TEXTS = ["one two three", "", "two two one", "four", "five six"]


@pytest.fixture
def stage(staged: Staged) -> Stage:
    """Record 1 is unreadable, record 3 too short, and there is a partition without records."""
    return staged(
        [row(0, TEXTS[0]), "unreadable: x"], [], [row(2, TEXTS[2]), (row(3, "four"), "too short: 1"), row(4, TEXTS[4])]
    )


def test_arrays_over_all_partitions(stage: Stage) -> None:
    assert stage.present.tolist() == [True, False, True, True, True]
    assert stage.eligible.tolist() == [True, False, True, False, True]
    whole = sketch(TEXTS)
    assert stage.keys.tolist() == whole.keys.tolist()
    assert stage.word_counts.tolist() == whole.words.lengths.tolist()
    for number in range(BANDS):
        assert stage.band(number).tolist() == whole.bands[:, number].tolist()


@pytest.mark.parametrize("rows", [[], [0], [2], [0, 2, 4], [0, 1, 2, 3, 4]])
def test_words_of_some_records(stage: Stage, rows: list[int]) -> None:
    found, expected = stage.words(np.array(rows, np.int64)), sketch(TEXTS).words.take(np.array(rows, np.int64))
    assert found.values.tolist() == expected.values.tolist()
    assert found.offsets.tolist() == expected.offsets.tolist()


def test_word_sets_are_sorted_without_doubles(stage: Stage, tmp_path) -> None:
    kept = np.array([True, False, True, False, False])
    sets = stage.write_word_sets(kept, tmp_path / "sets.bin").mapped()
    assert sets.values.dtype == np.uint32
    assert sets.lengths.tolist() == [3, 2]
    three, two = np.split(sets.values, sets.offsets[1:-1])
    assert set(two) < set(three)
    assert np.all(np.diff(three.astype(np.float64)) > 0)
    assert stage.write_word_sets(np.zeros(5, np.bool_), tmp_path / "none.bin").mapped().values.size == 0


def test_rows_come_with_their_numbers(stage: Stage) -> None:
    assert list(stage.rows(np.array([False, False, True, True, False]))) == [(2, row(2, TEXTS[2])), (3, row(3, "four"))]
    assert list(stage.rows(np.zeros(5, np.bool_))) == []


def test_only_the_columns_asked_for_are_read(stage: Stage) -> None:
    batches = list(stage.batches(stage.eligible, ["id", "flags"]))
    assert [name for batch in batches[:1] for name in batch.schema.names] == ["id", "flags"]
    assert [each for batch in batches for each in batch["id"].to_pylist()] == ["row-0", "row-2", "row-4"]


def test_a_partition_is_finished_when_it_is_whole(staged: Staged, tmp_path) -> None:
    part = Part(tmp_path / "staged" / "part-0", 0, 1)
    assert not part.finished
    [again] = staged([row(0, "x")]).parts
    assert again == part
    assert part.finished
    assert (part.span.start, part.span.stop) == (0, 1)


def test_a_partition_that_cannot_be_written_leaves_nothing(stage: Stage, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    part = Part(tmp_path / "other", 0, 2)
    table = stage.parts[0].records_table()
    monkeypatch.setattr("luthier.data.staged._write_hashes", full)
    with pytest.raises(Exception, match="No space left on device"):
        part.write(table, sketch(TEXTS[:2]))
    assert not part.finished
    assert not list(tmp_path.glob(".other*"))


def test_redactions_are_added_up(stage: Stage) -> None:
    assert redaction_counts(stage.parts[2].records_table()) == {"email": 3}
    assert redaction_counts(stage.parts[1].records_table()) == {}
