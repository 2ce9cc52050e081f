import os
import time
from pathlib import Path

import pytest

from luthier.core.artefacts import Run, Source
from luthier.core.files import atomic_directory
from luthier.core.workspace import Workspace
from luthier.registry import Registry, collect_garbage
from luthier.store import Store

RUN = Run(id="run-abcdefabcdef", path=Path(".luthier/runs/run-abcdefabcdef"))


def fill(folder: Path, size: int = 10) -> Path:
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"x" * size)
    return folder


def test_only_what_no_row_names_is_removed(registry: Registry, store: Store, workspace: Workspace) -> None:
    registry.add(RUN)
    registry.add(Source(id="source-1", path=Path("raw/tickets.csv")))
    kept = [
        fill(workspace.folder("run", RUN.id)),
        fill(workspace.folder("source", "source-1")),
        fill(workspace.measured("source-1")),
        fill(workspace.state / "cache" / "anything"),
        fill(workspace.root / "raw"),
    ]
    orphan = fill(workspace.folder("dataset", "dataset-0"), size=700)
    (orphan / "inner").mkdir()
    (orphan / "inner" / "ledger").write_bytes(b"y" * 300)
    fill(workspace.measured("base-0"), size=200)
    garbage = collect_garbage(store, workspace)
    assert garbage.removed == (Path(".luthier/datasets/dataset-0"), Path(".luthier/measured/base-0"))
    assert garbage.bytes_freed == 1200
    assert all((folder / "weights").exists() for folder in kept)
    assert workspace.database.exists()
    assert collect_garbage(store, workspace).removed == ()


def test_a_new_database_beside_old_files_costs_no_run(registry: Registry, store: Store, workspace: Workspace) -> None:
    """As after luthier.db was damaged and moved away, at first and when there is something in it again."""
    before = time.time() - 3600
    lost = [fill(workspace.folder(kind, f"{kind}-{'0a' * 6}")) for kind in ("run", "dataset")]
    for folder in lost:
        os.utime(folder, (before, before))
    places = tuple(workspace.relative(folder) for folder in sorted(lost))
    assert set(collect_garbage(store, workspace).strange) == set(places)
    registry.add(RUN)
    fill(workspace.folder("run", RUN.id))
    garbage = collect_garbage(store, workspace)
    assert (garbage.removed, set(garbage.strange)) == ((), set(places))
    assert all((folder / "weights").exists() for folder in lost)


def test_what_is_added_to_an_old_run_does_not_make_it_garbage(
    registry: Registry, store: Store, workspace: Workspace
) -> None:
    before = time.time() - 3600
    lost, since = (fill(workspace.folder("run", f"run-{digits * 6}")) for digits in ("0a", "0b"))
    os.utime(lost / "weights", (before, before))
    registry.add(RUN)
    for folder in (lost, since):
        (folder / "notes").write_text("added")
        later = time.time() + 60
        for path in (folder, folder / "notes", *([since / "weights"] if folder == since else [])):
            os.utime(path, (later, later))
    garbage = collect_garbage(store, workspace)
    assert garbage.strange == (workspace.relative(lost),)
    assert garbage.removed == (workspace.relative(since),)


def test_what_an_atomic_write_left_behind_is_removed(store: Store, workspace: Workspace) -> None:
    with atomic_directory(workspace.folder("run", "run-1")) as partial:
        (partial / "weights").write_bytes(b"x" * 10)
        killed = partial.with_name(".run-1.killed")
        partial.rename(killed)
        partial.mkdir()
    (workspace.state / ".report.json.killed").write_bytes(b"x" * 5)
    garbage = collect_garbage(store, workspace)
    assert set(garbage.removed) == {
        Path(".luthier/.report.json.killed"),
        Path(".luthier/runs/.run-1.killed"),
        Path(".luthier/runs/run-1"),
    }
    assert garbage.bytes_freed == 15


@pytest.mark.parametrize("place", ["runs/run-1.partial", "datasets/.prepare-1f.partial"])
@pytest.mark.parametrize(("hours", "stays"), [(1, True), (23, True), (25, False)])
def test_what_was_interrupted_stays_for_a_day(
    store: Store, workspace: Workspace, place: str, hours: float, stays: bool
) -> None:
    partial = fill(workspace.state / place)
    abandoned = fill(workspace.state / "runs" / "run-2.abandoned")
    written = time.time() - hours * 3600
    os.utime(partial / "weights", (written, written))
    os.utime(partial, (written - 1e6, written - 1e6))
    collect_garbage(store, workspace)
    assert partial.exists() is stays
    assert not abandoned.exists()


def test_a_link_is_removed_and_what_it_points_to_stays(store: Store, workspace: Workspace, tmp_path: Path) -> None:
    target = fill(tmp_path / "elsewhere")
    link = workspace.state / "runs" / "run-1"
    link.parent.mkdir()
    link.symlink_to(target)
    assert collect_garbage(store, workspace).removed == (Path(".luthier/runs/run-1"),)
    assert not link.is_symlink()
    assert (target / "weights").exists()
