"""A workspace: a folder with `luthier.yaml` and `.luthier/`, and where things lie in it."""

from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import WorkspaceError

RECIPE_NAME = "luthier.yaml"
STATE_NAME = ".luthier"


@dataclass(frozen=True, slots=True)
class Workspace:
    root: Path

    @classmethod
    def find(cls, start: Path) -> "Workspace":
        """The workspace that `start` lies in: the nearest folder upwards with a recipe."""
        try:
            here = start.resolve()
            for folder in (here, *here.parents):
                if (folder / RECIPE_NAME).is_file():
                    return cls(folder)
        except (OSError, RuntimeError) as error:  # RuntimeError for links in a circle
            reason = getattr(error, "strerror", None) or error
            raise WorkspaceError(f"the folder cannot be looked into: {reason}", where=str(start)) from error
        raise WorkspaceError(
            f"no {RECIPE_NAME} here or in a folder above",
            where=str(start),
            allowed="make one with: luthier init",
        )

    @property
    def recipe(self) -> Path:
        return self.root / RECIPE_NAME

    @property
    def state(self) -> Path:
        return self.root / STATE_NAME

    @property
    def database(self) -> Path:
        return self.state / "luthier.db"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    def folder(self, kind: str, artefact_id: str) -> Path:
        """Where an artefact of this kind keeps its files, e.g. `.luthier/datasets/dataset-1f…`."""
        return self.state / f"{kind}s" / artefact_id

    def measured(self, base: str) -> Path:
        """Where evaluations keep what they have found of a base model."""
        return self.state / "measured" / base

    def relative(self, path: Path) -> Path:
        """`path` relative to the root where it lies inside, so that a workspace can be moved."""
        resolved = path.resolve()
        root = self.root.resolve()
        return resolved.relative_to(root) if resolved.is_relative_to(root) else resolved
