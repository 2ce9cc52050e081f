import errno
import os

import pytest

from luthier.core.errors import SourceError
from luthier.core.recipe import DataSection
from luthier.core.workspace import Workspace
from luthier.pipeline import source_files
from luthier.pipeline.source_files import files_at, with_files


def section(*paths):
    return DataSection.model_validate({"sources": [{"path": str(path), "columns": {"text": "body"}} for path in paths]})


def listed(root, *paths):
    data = with_files(section(*paths), Workspace(root), lambda _: None)
    assert all(source.columns == {"text": "body"} for source in data.sources)
    return [source.path for source in data.sources]


@pytest.fixture
def raw(tmp_path):
    names = ("raw/b.csv", "raw/a.JSONL", "raw/deep/c.md", "raw/deep/d.csv.gz", "raw/notes.odt", "raw/README")
    for name in (*names, "raw/.hidden/e.csv", ".luthier/sources/f.csv", "luthier.yaml", "tickets[1].csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    return tmp_path


@pytest.mark.parametrize("spelling", ["raw", "./raw", "raw/"])
def test_a_folder_stands_for_the_files_in_it(raw, spelling):
    assert listed(raw, spelling, "other.csv") == [
        "raw/a.JSONL",
        "raw/b.csv",
        "raw/deep/c.md",
        "raw/deep/d.csv.gz",
        "other.csv",
    ]


def test_a_folder_elsewhere(raw, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    assert listed(root, raw / "raw" / "deep") == [str(raw / "raw/deep/c.md"), str(raw / "raw/deep/d.csv.gz")]


def test_the_workspace_itself_is_not_read(raw):
    assert "luthier.yaml" not in listed(raw, ".")
    assert not any(".luthier" in path or ".hidden" in path for path in listed(raw, "."))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("raw/*", ["raw/a.JSONL", "raw/b.csv"]),
        ("raw/**/*.csv*", ["raw/b.csv", "raw/deep/d.csv.gz"]),
        ("*/*.[cm]*", ["raw/b.csv"]),
        ("tickets[1].csv", ["tickets[1].csv"]),
    ],
)
def test_a_pattern_stands_for_the_files_that_match(raw, pattern, found):
    assert listed(raw, pattern) == found


def test_an_absolute_pattern(raw):
    assert listed(raw, raw / "raw" / "*.csv") == [str(raw / "raw/b.csv")]


def test_files_of_unknown_kind_are_counted(raw):
    said = []
    with_files(section("raw"), Workspace(raw), said.append)
    assert said == ["raw: skipped 2 of unknown kind: .odt (1), no ending (1)"]


def test_nothing_to_read_is_an_error(raw):
    (raw / "empty").mkdir()
    with pytest.raises(SourceError, match=r"^empty: no file to read in this folder \(files ending in .csv, "):
        listed(raw, "empty")
    with pytest.raises(SourceError, match=r"^raw/\*\.odt: no file to read matches \(files ending in .csv, "):
        listed(raw, "raw/*.odt")


def test_files_that_came_later_are_seen(raw):
    assert files_at("raw/*.csv", raw) == ["raw/b.csv"]
    assert files_at("raw/b.csv", raw) == []


def test_queries_and_data_sets_become_files_of_the_workspace(tmp_path, monkeypatch):
    def fetch(hub, split, place, _):
        assert (hub, split) == ("org/name", "train")
        return [place / "org--name@abc" / "train.parquet"]

    monkeypatch.setattr(source_files, "fetch_dataset", fetch)
    monkeypatch.setattr(source_files, "save_answer", lambda *_: None)
    sources = [
        {"hub": "org/name", "split": "train", "format": "text"},
        {"query": "SELECT 1", "database": "$A"},
        {"query": "SELECT 1", "database": "$B"},
    ]
    data = with_files(DataSection.model_validate({"sources": sources}), Workspace(tmp_path), lambda _: None)
    hub, one, other = data.sources
    assert (hub.path, hub.format, hub.hub) == (".luthier/sources/org--name@abc/train.parquet", "text", "")
    assert one.path.startswith(".luthier/sources/query-")
    assert one.path != other.path


@pytest.mark.parametrize(("path", "why"), [("a" * 300, "File name too long"), ("raw/**x/*.csv", "Invalid pattern")])
def test_what_names_nothing_is_one_sentence(raw, path, why):
    with pytest.raises(SourceError, match=rf"names no file or folder: {why}"):
        listed(raw, path)


def test_a_name_that_is_not_utf8_is_refused(raw):
    (raw / "raw" / os.fsdecode(b"caf\xe9.csv")).write_text("x")
    with pytest.raises(SourceError, match=r"^raw/caf\\xe9\.csv: the name of the file is not UTF-8 \(rename it\)"):
        listed(raw, "raw")


def test_other_files_may_have_any_name_and_folders_out_of_reach_be_closed(raw, monkeypatch):
    (raw / "raw" / os.fsdecode(b"caf\xe9.png")).write_text("x")
    assert "raw/b.csv" in listed(raw, "raw")
    opened = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: opened("/none" if str(folder).endswith("deep") else folder))
    assert "raw/b.csv" in listed(raw, "raw/*.csv")


@pytest.mark.parametrize("path", ["raw", "raw/**/*.csv", "raw/*/*.csv"])
def test_a_folder_that_is_closed_is_no_folder_without_files(raw, monkeypatch, path):
    """As for another user than root, whom no folder is closed to."""
    opened = os.scandir

    def closed(folder):
        if str(folder).endswith("deep"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return opened(folder)

    monkeypatch.setattr(os, "scandir", closed)
    with pytest.raises(SourceError, match=r"raw/deep: cannot be read: Permission denied"):
        listed(raw, path)
