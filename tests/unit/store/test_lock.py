import os
import subprocess
import sys
from pathlib import Path

import pytest

from luthier.core.errors import WorkspaceError
from luthier.store import workspace_lock

HOLD = """
import sys
from pathlib import Path
from luthier.store import workspace_lock
with workspace_lock(Path(sys.argv[1]), "train"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "shop" / ".luthier" / "lock"


def start_holder(path: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_process_is_told_who_works_here(path: Path) -> None:
    holder = start_holder(path)
    try:
        told = rf"shop: another luthier command \(train, process {holder.pid}\) is working in this workspace"
        with pytest.raises(WorkspaceError, match=told), workspace_lock(path, "evaluate"):
            pytest.fail("the lock was held twice")
    finally:
        holder.communicate("done\n", timeout=30)
    with workspace_lock(path, "evaluate"):
        pass


def test_a_killed_holder_frees_it(path: Path) -> None:
    holder = start_holder(path)
    holder.kill()
    holder.communicate(timeout=30)
    with (
        workspace_lock(path, "train"),
        pytest.raises(WorkspaceError, match=rf"\(train, process {os.getpid()}\)"),
        workspace_lock(path, "prepare"),
    ):
        pytest.fail("the lock was held twice")


def test_an_error_inside_frees_it(path: Path) -> None:
    with pytest.raises(KeyError), workspace_lock(path, "train"):
        raise KeyError
    with workspace_lock(path, "train"):
        pass


def test_a_holder_that_has_not_signed_yet_has_no_name(path: Path) -> None:
    with workspace_lock(path, "train"):
        path.with_name("lock.holder").unlink()
        with (
            pytest.raises(WorkspaceError, match="another luthier command is working"),
            workspace_lock(path, "prepare"),
        ):
            pytest.fail("the lock was held twice")


def test_a_place_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WorkspaceError, match="cannot be locked: Not a directory"),
        workspace_lock(tmp_path / "file" / "state" / "lock", "train"),
    ):
        pytest.fail("locked")
