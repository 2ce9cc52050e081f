import pytest

import luthier
from luthier.core.errors import RecipeError, WorkspaceError
from luthier.core.progress import Silent


def test_a_project_opens_from_a_folder_below(prepared_shop):
    with luthier.open_project(prepared_shop / "raw") as project:
        assert project.workspace.root == prepared_shop
        assert isinstance(project.reporter, Silent)
        assert project.recipe.name == "shop"


def test_overrides_and_another_recipe(prepared_shop, tmp_path):
    other = tmp_path / "other.yaml"
    other.write_text((prepared_shop / "luthier.yaml").read_text().replace("name: shop", "name: another"))
    with luthier.open_project(prepared_shop, recipe=other, overrides=["training.seed=7"]) as project:
        assert (project.recipe.name, project.recipe.training.seed) == ("another", 7)


def test_a_faulty_recipe_makes_no_database(prepared_shop, tmp_path):
    with (
        pytest.raises(RecipeError, match=r"training\.sede, did you mean seed"),
        luthier.open_project(prepared_shop, overrides=["training.sede=7"]),
    ):
        pass
    (tmp_path / "luthier.yaml").write_text("name: x")
    with pytest.raises(RecipeError, match="model is missing; data is missing"), luthier.open_project(tmp_path):
        pass
    assert not (tmp_path / ".luthier").exists()


def test_no_workspace(tmp_path):
    with pytest.raises(WorkspaceError, match="make one with: luthier init"), luthier.open_project(tmp_path):
        pass


def test_the_lock_is_the_workspaces(prepared_shop):
    with (
        luthier.open_project(prepared_shop) as first,
        luthier.open_project(prepared_shop) as second,
        first.locked("train"),
        pytest.raises(WorkspaceError, match=r"another luthier command \(train, process \d+\)"),
        second.locked("prepare"),
    ):
        pass
