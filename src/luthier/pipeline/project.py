"""An open workspace: recipe, database and registry, handed to every verb."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import RecipeError
from luthier.core.progress import Reporter, Silent
from luthier.core.recipe import Recipe, parse_recipe
from luthier.core.workspace import Workspace
from luthier.registry import Registry
from luthier.store import Store
from luthier.store.lock import workspace_lock


@dataclass(frozen=True, slots=True)
class Project:
    """A workspace in use. Made by `open_project`."""

    workspace: Workspace
    recipe: Recipe
    store: Store
    registry: Registry
    reporter: Reporter

    def locked(self, command: str) -> AbstractContextManager[None]:
        """Keep other luthier commands from writing to this workspace meanwhile; WorkspaceError if one does."""
        return workspace_lock(self.workspace.lock, command)


@contextmanager
def open_project(
    folder: str | Path = ".",
    recipe: str | Path | None = None,
    overrides: Sequence[str] = (),
    reporter: Reporter | None = None,
) -> Iterator[Project]:
    """Open the workspace that `folder` lies in.

    `recipe` is another recipe file than its luthier.yaml; `overrides` are like "training.learning_rate=1e-3".
    Raises WorkspaceError where there is no workspace, RecipeError for a recipe with faults.
    """
    workspace = Workspace.find(Path(folder))
    loaded = load_recipe(Path(recipe) if recipe else workspace.recipe, overrides)
    with Store.open(workspace.database) as store:
        yield Project(workspace, loaded, store, Registry(store, workspace), reporter or Silent())


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"cannot read the recipe: {error.strerror or error}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"the recipe is not UTF-8 at byte {error.start + 1}", where=str(path)) from error
    return parse_recipe(text, overrides, where=path.name)
