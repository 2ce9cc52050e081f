"""A file or folder is there whole or not at all, whatever goes wrong meanwhile."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from luthier.core.errors import WorkspaceError
from luthier.core.files import atomic_directory, atomic_path, replace_directory, write_text

Limit = Callable[[int], AbstractContextManager[None]]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write_and_raise(path: Path, error: type[BaseException]) -> None:
    path.write_text("half")
    raise error


def test_file_appears_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"

    with atomic_path(path) as partial:
        partial.write_text("whole")
        assert not path.exists()
        assert partial.parent == path.parent

    assert path.read_text() == "whole"
    assert names(path.parent) == {"a.txt"}


def test_folder_appears_at_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "dataset"

    with atomic_directory(path) as partial:
        (partial / "rows").write_text("1")
        assert not path.exists()

    assert (path / "rows").read_text() == "1"
    assert names(path.parent) == {"dataset"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_error_leaves_the_old_file_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    with pytest.raises((error, WorkspaceError)), atomic_path(path) as partial:
        write_and_raise(partial, error)

    assert path.read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_error_leaves_the_old_folder_and_nothing_else(error: type[BaseException], tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    path.mkdir()
    (path / "rows").write_text("old")

    with pytest.raises((error, WorkspaceError)), atomic_directory(path) as partial:
        write_and_raise(partial / "rows", error)

    assert (path / "rows").read_text() == "old"
    assert names(tmp_path) == {"dataset"}


def test_folder_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    for content in ("old", "new"):
        with atomic_directory(path) as partial:
            (partial / content).write_text(content)

    assert names(path) == {"new"}
    assert names(tmp_path) == {"dataset"}


def test_old_folder_comes_back_when_the_new_one_cannot_be_moved(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "rows").write_text("old")

    with pytest.raises(FileNotFoundError):
        replace_directory(tmp_path / "nowhere", tmp_path / "dataset")

    assert (tmp_path / "dataset" / "rows").read_text() == "old"
    assert names(tmp_path) == {"dataset"}


def test_full_disk_is_one_plain_sentence_and_leaves_nothing(tmp_path: Path, file_size_limit: Limit) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    with file_size_limit(1000), pytest.raises(WorkspaceError, match=f"^{path}: cannot write: File too large$"):
        write_text(path, "x" * 5000)

    assert path.read_text() == "old"
    assert names(tmp_path) == {"a.txt"}


def test_full_disk_leaves_no_half_folder(tmp_path: Path, file_size_limit: Limit) -> None:
    full = pytest.raises(WorkspaceError, match="cannot write")
    with file_size_limit(1000), full, atomic_directory(tmp_path / "dataset") as partial:
        (partial / "large").write_text("x" * 5000)

    assert names(tmp_path) == set()


def test_full_disk_when_the_bytes_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(WorkspaceError, match=r"a\.txt: cannot write: No space left on device"):
        write_text(tmp_path / "a.txt", "text")
    assert names(tmp_path) == set()


def test_place_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(WorkspaceError, match="cannot write"):
        write_text(tmp_path / "file" / "a.txt", "text")


def test_text_is_written_as_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "Größe €")

    assert (tmp_path / "a.txt").read_bytes() == "Größe €".encode()


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    (tmp_path / "folder").mkdir()

    write_text(tmp_path / "a.txt", "text")
    with atomic_directory(tmp_path / "dataset"):
        pass

    assert (tmp_path / "a.txt").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "dataset").stat().st_mode == (tmp_path / "folder").stat().st_mode


def test_kill_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")
    code = f"""
        import os, signal
        from pathlib import Path
        from luthier.core.files import atomic_path
        with atomic_path(Path({str(tmp_path / "a.txt")!r})) as partial:
            partial.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    """

    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=False)

    assert done.returncode == -9
    assert (tmp_path / "a.txt").read_text() == "old"
