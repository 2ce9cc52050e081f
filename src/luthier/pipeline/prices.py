"""The workspace's own copy of the prices."""

from luthier.core.errors import RecipeError
from luthier.core.files import write_text
from luthier.pipeline.project import Project
from luthier.planning import Prices, default_prices, read_prices

DEFAULT_NAME = "prices.yaml"


def open_prices(project: Project) -> Prices:
    """What `planning.prices` says; those that everybody begins with where the workspace has no such file yet.

    Raises RecipeError for a file that is missing under another name, or that has a wrong field.
    """
    name = project.recipe.planning.prices
    path = project.workspace.root / name
    if path.is_file():
        return read_prices(path.read_text(encoding="utf-8"), name)
    if name != DEFAULT_NAME:
        raise RecipeError(f"there is no file {name}", where="planning.prices", allowed=f"a copy of {DEFAULT_NAME}")
    return read_prices(default_prices(), name)


def keep_prices(project: Project) -> None:
    """Write the prices that a plan was made with where the workspace has none of its own yet."""
    path = project.workspace.root / project.recipe.planning.prices
    if not path.is_file():
        write_text(path, default_prices())
        project.reporter.say(f"wrote {path.name}: what machines and people cost, for you to correct")
