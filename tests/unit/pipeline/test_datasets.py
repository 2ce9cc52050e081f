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
