import json

import pytest

import luthier
from luthier.core.errors import DatasetError


def test_dropped_records_can_be_filtered_by_reason(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        every = list(luthier.dropped_records(project))
        short = list(luthier.dropped_records(project, reason="too sh"))
        assert {entry.origin.row for entry in short} < {entry.origin.row for entry in every}
        assert all("too short" in entry.reasons[0] for entry in short)
        with pytest.raises(DatasetError, match=r"no record was dropped because of 'late' \(there: .*too short"):
            luthier.dropped_records(project, reason="late")


def test_one_record_is_found_by_place_and_by_row_id(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        [entry] = luthier.dropped_records(project, record="raw/chats.jsonl:3")
        assert entry.kept
        assert "Bath" in entry.original
        [again] = luthier.dropped_records(project, record=entry.row_ids[0])
        assert again == entry
        with pytest.raises(DatasetError, match=r"no record raw/chats.jsonl:4000"):
            luthier.dropped_records(project, record="raw/chats.jsonl:4000")


def test_two_datasets_are_compared(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        before = luthier.list_artefacts(project, "dataset")[0].artefact.id
    with luthier.open_project(prepared_shop, overrides=["data.clean.min_words=8"]) as project:
        after = luthier.prepare(project).dataset
        diff = luthier.diff(project, before, after)
    assert diff.counts["no longer kept"] >= 1
    assert diff.same > 0


def test_leakage_between_splits_files_and_datasets(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        assert luthier.leakage(project, "train", "test").leaks == []
        found = luthier.leakage(project, luthier.list_artefacts(project, "dataset")[0].artefact.id, "raw/chats.jsonl")
        assert len(found.leaks) > 0.8 * found.rows
        assert found.complete
        first = found.leaks[0]
        assert first.likeness == 1
        assert first.held_out == first.known
        with pytest.raises(DatasetError, match=r"no file gone.jsonl \(a file, the id of a dataset, or one of train"):
            luthier.leakage(project, "train", "gone.jsonl")


def test_rows_like_those_held_out_are_dropped_and_a_changed_file_is_noticed(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        [row] = luthier.show_rows(project, None, "train", 1)
    held = prepared_shop / "held" / "golden.jsonl"
    held.parent.mkdir()
    held.write_text(json.dumps({"question": row.messages[-2]["content"], "facts": ["x"]}), encoding="utf-8")
    with luthier.open_project(prepared_shop, overrides=["data.held_out=[held]"]) as project:
        assert luthier.prepare(project).report["reasons"]["held out"] >= 1
        entries = luthier.dropped_records(project, reason="held out")
        assert row.origin in {entry.origin for entry in entries}
        held.write_text(held.read_text(encoding="utf-8") + "\n", encoding="utf-8")
        with pytest.raises(DatasetError, match=r"held/golden.jsonl has changed since"):
            luthier.train(project)


def flagged_shop(folder):
    """One more conversation that is too long, and is shortened."""
    turns = [{"role": role, "content": f"{role} says {n}"} for n in range(60) for role in ("user", "assistant")]
    (folder / "long.jsonl").write_text(json.dumps({"messages": turns}) + "\n", encoding="utf-8")
    return ["data.sources=[{path: raw}, {path: long.jsonl}]", "data.over_length=truncate", "data.split.test=0"]


def test_flagged_rows_are_shown_alone(prepared_shop):
    with luthier.open_project(prepared_shop, overrides=flagged_shop(prepared_shop)) as project:
        assert luthier.prepare(project).flags == [("shortened", 1)]
        rows = [row for split in ("train", "validation") for row in luthier.show_rows(project, None, split, 9, "short")]
        assert [row.origin.file for row in rows] == ["long.jsonl"]
        [entry] = luthier.dropped_records(project, record=rows[0].id)
        assert entry.flags == rows[0].flags
        with pytest.raises(DatasetError, match=r"no row is flagged as 'label' \(there: shortened\)"):
            luthier.show_rows(project, None, "train", 9, "label")
