import pytest

import luthier
from luthier.core.errors import DatasetError, SourceError
from luthier.core.recipe import DataSection
from luthier.pipeline.base import open_base
from luthier.pipeline.prepare import find_dataset, with_files


def section(*paths):
    return DataSection.model_validate({"sources": [{"path": str(path), "columns": {"text": "body"}} for path in paths]})


def paths(data):
    return [source.path for source in data.sources]


@pytest.fixture
def raw(tmp_path):
    for name in ("raw/b.csv", "raw/a.JSONL", "raw/deep/c.md", "raw/notes.docx", "raw/README"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize("spelling", ["raw", "./raw", "raw/"])
def test_a_folder_stands_for_the_files_in_it(raw, spelling):
    data = with_files(section(spelling, "other.csv"), raw)
    assert paths(data) == ["raw/a.JSONL", "raw/b.csv", "raw/deep/c.md", "other.csv"]
    assert all(source.columns == {"text": "body"} for source in data.sources)


def test_a_folder_elsewhere(raw, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    assert paths(with_files(section(raw / "raw" / "deep"), root)) == [str(raw / "raw" / "deep" / "c.md")]


def test_an_empty_folder_is_an_error(raw):
    (raw / "empty").mkdir()
    with pytest.raises(SourceError, match=r"^empty: no file to read in this folder \(files ending in .csv, "):
        with_files(section("empty"), raw)


def test_the_report_adds_up(prepared):
    made = luthier.prepare(prepared)
    assert sum(read for _, read, _, _ in made.files) == made.report["read"] == 54
    assert all(read == kept + dropped for _, read, kept, dropped in made.files)
    assert dict(made.reasons) == {"too short": 1, "exact duplicate": 1}
    assert sum(made.splits.values()) == 52
    entry = prepared.registry.entry(made.dataset)
    assert [prepared.registry.get(parent).path.as_posix() for parent in entry.artefact.parents] == [
        "raw/chats.jsonl",
        "raw/handbook.md",
        "raw/tickets.csv",
    ]
    assert entry.environment["packages"]["torch"]


def test_preparing_again_gives_the_same_dataset(prepared):
    before = prepared.registry.latest("dataset").id
    assert luthier.prepare(prepared).dataset == before
    assert len(prepared.registry.list("dataset")) == 1


def test_the_latest_dataset_of_the_recipe_counts(prepared, prepared_shop):
    base = open_base(prepared)
    first = find_dataset(prepared, base)
    (prepared_shop / "raw" / "more.md").write_text("# Parking\n\nYou may park behind the shop for an hour.\n")
    with pytest.raises(DatasetError, match=r"^raw/more.md was added since dataset-"):
        find_dataset(prepared, base)
    second = luthier.prepare(prepared).dataset
    assert find_dataset(prepared, base).id == second != first.id
    (prepared_shop / "raw" / "more.md").unlink()
    assert luthier.prepare(prepared).dataset == first.id
    assert find_dataset(prepared, base).id == first.id


def test_personal_data_is_masked(prepared):
    rows = luthier.show_rows(prepared, None, "train", 1000)
    rows += [row for split in ("validation", "test") for row in luthier.show_rows(prepared, None, split, 1000)]
    text = "\n".join(row.plain() for row in rows)
    assert "write to " in text
    assert "@" not in text


def test_nothing_to_learn_is_an_error(prepared_shop):
    """Two rows, and shares that leave none of them for training."""
    lines = (prepared_shop / "raw" / "chats.jsonl").read_text().splitlines()[:2]
    (prepared_shop / "two.jsonl").write_text("\n".join(lines))
    overrides = ["data.split.validation=0.44", "data.split.test=0.45", "data.sources=[{path: two.jsonl}]"]
    with luthier.open_project(prepared_shop, overrides=overrides) as project:
        assert luthier.prepare(project).splits == {"train": 0, "validation": 1, "test": 1}
        for verb in (luthier.check, luthier.plan, luthier.train):
            with pytest.raises(DatasetError, match="no training row has a token to learn"):
                verb(project)


def test_export_goes_where_it_is_told(prepared, tmp_path):
    paths = luthier.export_dataset(prepared, None, tmp_path / "out")
    assert [path.name for path in paths] == ["train.jsonl", "validation.jsonl", "test.jsonl", "ledger.jsonl"]
    assert [entry.origin.row for entry in luthier.dropped_records(prepared)] == [3, 4]
