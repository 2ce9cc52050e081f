"""The workspace's own copy of the prices."""

from luthier.core.errors import RecipeError
from luthier.core.files import write_text
from luthier.pipeline.project import Project
from luthier.planning import Prices, default_prices, read_prices

DEFAULT_NAME = "prices.yaml"


def open_prices(project: Project) -> Prices:
    """What `planning.prices` says; the file that everybody gets is written first where the workspace has none.

    Raises RecipeError for a file that is missing under another name, or that has a wrong field.
    """
    name = project.recipe.planning.prices
    path = project.workspace.root / name
    if not path.is_file():
        if name != DEFAULT_NAME:
            raise RecipeError(f"there is no file {name}", where="planning.prices", allowed=f"a copy of {DEFAULT_NAME}")
        write_text(path, default_prices())
        project.reporter.say(f"wrote {name}: what machines and people cost, for you to correct")
    return read_prices(path.read_text(encoding="utf-8"), name)
