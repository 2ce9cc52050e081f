"""A workspace is found from any folder below it, and can be moved."""

from pathlib import Path

import pytest

from luthier.core.errors import WorkspaceError
from luthier.core.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "luthier.yaml").write_text("name: shop")
    return Workspace(tmp_path / "shop")


def test_is_found_from_below(workspace: Workspace) -> None:
    below = workspace.root / "raw" / "2024"
    below.mkdir(parents=True)

    assert Workspace.find(workspace.root) == Workspace.find(below) == workspace


def test_nearest_one_counts(workspace: Workspace) -> None:
    inner = workspace.root / "inner"
    inner.mkdir()
    (inner / "luthier.yaml").write_text("name: inner")

    assert Workspace.find(inner).root == inner


def test_is_found_from_the_current_folder(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace.root)

    assert Workspace.find(Path()).root == workspace.root


@pytest.mark.parametrize("recipe_is", ["missing", "a folder"])
def test_without_recipe_there_is_none(recipe_is: str, tmp_path: Path) -> None:
    if recipe_is == "a folder":
        (tmp_path / "luthier.yaml").mkdir()

    with pytest.raises(
        WorkspaceError, match=r"no luthier\.yaml here or in a folder above \(make one with: luthier init"
    ):
        Workspace.find(tmp_path)


def test_everything_but_the_recipe_lies_in_the_state_folder(workspace: Workspace) -> None:
    assert workspace.recipe == workspace.root / "luthier.yaml"
    assert workspace.state == workspace.root / ".luthier"
    assert workspace.folder("dataset", "dataset-1f") == workspace.state / "datasets" / "dataset-1f"
    assert {workspace.database.parent, workspace.lock.parent} == {workspace.state}


def test_paths_inside_are_kept_relative(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = workspace.root / "raw" / "a.csv"

    assert workspace.relative(inside) == Path("raw/a.csv")
    assert workspace.relative(workspace.root / "raw" / ".." / "b.csv") == Path("b.csv")
    assert workspace.relative(tmp_path / "a.csv") == tmp_path / "a.csv"
    monkeypatch.chdir(workspace.root)
    assert workspace.relative(Path("raw/a.csv")) == Path("raw/a.csv")


def test_paths_through_links_are_kept_relative_too(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(workspace.root)

    assert Workspace(tmp_path / "link").relative(workspace.root / "a.csv") == Path("a.csv")


def test_the_current_folder_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(WorkspaceError, match=r"\.: the folder cannot be looked into: No such file or directory"):
        Workspace.find(Path())
