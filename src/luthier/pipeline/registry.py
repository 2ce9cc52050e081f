"""`luthier registry`: what there is, what came from what, and what may go."""

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from luthier.core.artefacts import Artefact
from luthier.pipeline.project import Project
from luthier.registry import Alias, Garbage, Lineage, collect_garbage, render_lineage
from luthier.store import Entry


@dataclass(frozen=True, slots=True)
class Listed:
    """An artefact as listings show it. `aliases` point to it; `created_at` in seconds since the epoch, UTC."""

    artefact: Artefact
    aliases: tuple[str, ...]
    created_at: float
    environment: dict[str, object] | None

    def to_json(self) -> dict[str, object]:
        artefact = self.artefact
        return {
            "id": artefact.id,
            "kind": artefact.kind,
            "aliases": list(self.aliases),
            "created_at": self.created_at,
            "parents": list(artefact.parents),
            "path": None if artefact.path is None else str(artefact.path),
            "summary": dict(artefact.summary),
            "environment": self.environment,
        }

    def report(self) -> str:
        """The same for people, as YAML."""
        return yaml.safe_dump(self.to_json(), sort_keys=False, allow_unicode=True)


@dataclass(frozen=True, slots=True)
class Traced:
    lineage: Lineage

    def to_json(self) -> dict[str, object]:
        return self.lineage.as_json()

    def report(self) -> str:
        """The graph as a tree, for people."""
        return render_lineage(self.lineage)


def list_artefacts(project: Project, kind: str | None = None) -> list[Listed]:
    """All artefacts, or those of a kind, the latest first."""
    aliases = project.registry.aliases().values()
    return [_listed(entry, aliases) for entry in project.registry.list(kind)]


def show_artefact(project: Project, reference: str) -> Listed:
    """One artefact by id, alias or the beginning of its id."""
    return _listed(project.registry.entry(reference), project.registry.aliases().values())


def lineage(project: Project, reference: str) -> Traced:
    """Where an artefact or an answered request came from, and what came of it."""
    return Traced(project.registry.lineage(reference))


def remove_artefact(project: Project, reference: str) -> int:
    """Delete an artefact that nothing depends on; the bytes freed."""
    with project.locked("registry rm"):
        return project.registry.remove(reference)


def remove_garbage(project: Project) -> Garbage:
    """Delete files that no artefact needs."""
    with project.locked("registry gc"):
        return collect_garbage(project.store, project.workspace)


def _listed(entry: Entry, aliases: Iterable[Alias]) -> Listed:
    names = tuple(alias.name for alias in aliases if alias.target == entry.artefact.id)
    environment = None if entry.environment is None else dict(entry.environment)
    return Listed(entry.artefact, names, entry.created_at, environment)
