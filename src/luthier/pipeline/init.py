"""`luthier init`: a new workspace."""

import json
from importlib.resources import files
from pathlib import Path

from luthier.core.errors import WorkspaceError
from luthier.core.files import write_text
from luthier.core.recipe import recipe_schema
from luthier.core.workspace import RECIPE_NAME, STATE_NAME, Workspace
from luthier.pipeline.other_tools import ReadConfig, read_config

SCHEMA_NAME = "recipe.schema.json"


def init(folder: str | Path = ".") -> Workspace:
    """Make a workspace with a commented recipe and a folder `raw` for the source files.

    Raises WorkspaceError where there is a recipe already, which is never overwritten.
    """
    root = Path(folder)
    _refuse_existing(root)
    template = files("luthier.pipeline").joinpath("recipe_template.yaml").read_text(encoding="utf-8")
    return lay_out(root, template.replace("NAME", _name(root)))


def init_from(file: str | Path, folder: str | Path = ".") -> tuple[Workspace, ReadConfig]:
    """Make a workspace out of a configuration of LLaMA-Factory, axolotl or TRL; also what was read of it.

    Raises as `init` does, and RecipeError for a file that is none of these or asks for what no recipe takes.
    """
    root = Path(folder)
    _refuse_existing(root)
    read = read_config(Path(file), root)
    return lay_out(root, read.recipe(_name(root), str(file))), read


def _refuse_existing(root: Path) -> None:
    recipe = root / RECIPE_NAME
    if recipe.exists():
        raise WorkspaceError("there is a workspace here already", where=str(recipe))


def lay_out(root: Path, recipe: str) -> Workspace:
    """Write recipe, schema and folders of a workspace."""
    workspace = Workspace(root)
    try:
        (root / "raw").mkdir(parents=True, exist_ok=True)
        workspace.state.mkdir(exist_ok=True)
    except OSError as error:
        raise WorkspaceError(f"cannot make a workspace: {error.strerror}", where=str(root)) from error
    write_text(workspace.state / SCHEMA_NAME, json.dumps(recipe_schema(), indent=1))
    write_text(workspace.state / ".gitignore", "*\n")
    write_text(workspace.recipe, f"# yaml-language-server: $schema={STATE_NAME}/{SCHEMA_NAME}\n{recipe}")
    return workspace


def _name(root: Path) -> str:
    """A valid recipe name out of the folder's name."""
    letters = "".join(c if c.isascii() and c.isalnum() else "-" for c in root.resolve().name.lower()).strip("-")
    return letters or "support-bot"
