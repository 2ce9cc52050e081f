"""The folder of a preparation stays for the next one only where that can go on with it."""

import os
from pathlib import Path

import pytest

from luthier.core.errors import DatasetError, WorkspaceError
from luthier.core.recipe import DataSection
from luthier.data import scratch
from luthier.data.scratch import preparation_digest, scratch_folder


def section(**changes: object) -> DataSection:
    return DataSection.model_validate({"sources": [{"path": "a.csv"}], **changes})


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.csv"
    path.write_text("body,reply\n", encoding="utf-8")
    return path


def digest(source: Path, counter: str = "words", **changes: object) -> str:
    return preparation_digest(section(**changes), [source], counter)


def test_equal_preparations_have_equal_digests(source: Path) -> None:
    assert digest(source) == digest(source, engine="ray")
    assert len(digest(source)) == 12


def test_whatever_changes_rows_changes_the_digest(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(source)
    assert digest(source, clean={"min_words": 5}) != before
    assert digest(source, system="Be kind.") != before
    assert digest(source, counter="tokens") != before
    os.utime(source, ns=(1, 1))
    touched = digest(source)
    assert touched != before
    source.write_text("body,reply,x\n", encoding="utf-8")
    os.utime(source, ns=(1, 1))
    assert digest(source) != touched
    source.unlink()
    gone = digest(source)
    assert gone != touched
    monkeypatch.setattr(scratch, "_VERSION", -1)
    assert digest(source) != gone


def test_after_success_nothing_is_left_of_any_preparation(tmp_path: Path) -> None:
    place = tmp_path / "datasets"
    (place / ".prepare-other.partial").mkdir(parents=True)
    (place / "dataset-1").mkdir()
    with scratch_folder(place, "abc") as folder:
        (folder / "part").write_text("x", encoding="utf-8")
        assert folder.parent == place
    assert [path.name for path in place.iterdir()] == ["dataset-1"]


def test_after_an_error_its_own_folder_goes(tmp_path: Path) -> None:
    (tmp_path / ".prepare-other.partial").mkdir()
    with pytest.raises(DatasetError, match="no rows"), scratch_folder(tmp_path, "abc"):
        raise DatasetError("no rows are left")
    assert [path.name for path in tmp_path.iterdir()] == [".prepare-other.partial"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_what_was_stopped_is_there_for_the_next(tmp_path: Path, stop: type[BaseException]) -> None:
    def work(folder: Path) -> None:
        (folder / "part").write_text("x", encoding="utf-8")
        raise stop

    with pytest.raises(stop), scratch_folder(tmp_path, "abc") as folder:
        work(folder)
    with scratch_folder(tmp_path, "abc") as again:
        assert (again / "part").read_text(encoding="utf-8") == "x"


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(WorkspaceError, match="cannot write: "), scratch_folder(tmp_path / "file", "abc"):
        pytest.fail("there is no folder")


def test_a_full_disk_while_at_work_is_one_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="cannot write: No space left"), scratch_folder(tmp_path, "abc"):
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []
