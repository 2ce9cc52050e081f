"""The registry: artefacts put in, found again, named and removed."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from luthier.core.artefacts import ARTEFACT_TYPES, Artefact
from luthier.core.errors import RegistryError
from luthier.core.workspace import Workspace
from luthier.registry.aliases import Alias, AliasChange, list_aliases, list_changes, point_alias
from luthier.registry.garbage import delete_files
from luthier.registry.lineage import Lineage, trace
from luthier.registry.references import resolve
from luthier.store import Entry, Store
from luthier.store.artefacts import find_entry, list_entries, put_artefact
from luthier.store.tables import aliases, artefacts, parents


class Registry:
    """All artefacts of one workspace. A reference is an id, an alias, or the unique beginning of an id."""

    def __init__(self, store: Store, workspace: Workspace) -> None:
        self._store, self._workspace = store, workspace

    def add(self, artefact: Artefact, environment: Mapping[str, object] | None = None) -> None:
        """Put an artefact in, with the environment that made it.

        The same id may come again, as equal content does: path and figures are then those of the last time, and it
        is the latest of its kind again. Raises RegistryError for a parent that is not registered.
        """
        with self._store.write() as connection:
            known = set(connection.execute(select(artefacts.c.id)).scalars()) - {artefact.id}
            unknown = [parent for parent in artefact.parents if parent not in known]
            if unknown:
                raise RegistryError(
                    f"{artefact.id} cannot come from {', '.join(unknown)}",
                    allowed="parents are registered before their children",
                )
            put_artefact(connection, artefact, environment)

    def get(self, reference: str, kind: str | None = None) -> Artefact:
        """The artefact. Raises RegistryError, with close names, when there is none or it is not of that kind."""
        artefact = self.entry(reference).artefact
        if kind is not None and artefact.kind != kind:
            raise RegistryError(f"{reference} is of kind {artefact.kind}, not {kind}", allowed=self._names(kind))
        return artefact

    def entry(self, reference: str) -> Entry:
        """The artefact with its times and its environment. Raises RegistryError."""
        with self._store.read() as connection:
            return _entry(connection, resolve(connection, reference))

    def list(self, kind: str | None = None) -> list[Entry]:
        """All artefacts, or those of one kind, the one made last first."""
        if kind is not None and kind not in ARTEFACT_TYPES:
            raise RegistryError(f"there is no kind {kind!r}", allowed=", ".join(ARTEFACT_TYPES))
        with self._store.read() as connection:
            return list_entries(connection, kind)

    def latest(self, kind: str) -> Artefact:
        """The artefact of this kind that was made last. Raises RegistryError when there is none."""
        entries = self.list(kind)
        if not entries:
            raise RegistryError(f"there is no {kind} in this workspace yet")
        return entries[0].artefact

    def set_alias(self, name: str, target: str, reason: str) -> Alias:
        """Point an alias to what the reference `target` stands for. The move and its reason are kept for good."""
        with self._store.write() as connection:
            return point_alias(connection, name, resolve(connection, target), reason)

    def aliases(self) -> dict[str, Alias]:
        """All aliases by name."""
        with self._store.read() as connection:
            return {alias.name: alias for alias in list_aliases(connection)}

    def alias_history(self, name: str) -> tuple[AliasChange, ...]:
        """Every change of an alias, oldest first; empty for a name that was never one."""
        with self._store.read() as connection:
            return tuple(list_changes(connection, name))

    def lineage(self, reference: str) -> Lineage:
        """What the artefact, or the request, came from and what came of it. Raises RegistryError."""
        with self._store.read() as connection:
            return trace(connection, resolve(connection, reference, with_requests=True))

    def remove(self, reference: str) -> int:
        """Remove an artefact and its files inside the workspace's state folder; the number of bytes freed.

        Files elsewhere (raw data, a model's cache) are never touched. Call it with the workspace locked.
        Raises RegistryError, naming them, while children or aliases point to it.
        """
        with self._store.write() as connection:
            entry = _entry(connection, resolve(connection, reference))
            _refuse_while_used(connection, entry.artefact.id)
            connection.execute(delete(artefacts).where(artefacts.c.id == entry.artefact.id))
            left = list_entries(connection)
        return delete_files(self._workspace, entry.artefact, [other.artefact for other in left])

    def _names(self, kind: str) -> str:
        entries = self.list(kind)
        return ", ".join(entry.artefact.id for entry in entries[:5]) or f"there is no {kind} yet"


def _entry(connection: Connection, artefact_id: str) -> Entry:
    entry = find_entry(connection, artefact_id)
    assert entry is not None
    return entry


def _refuse_while_used(connection: Connection, artefact_id: str) -> None:
    children = connection.execute(select(parents.c.child).where(parents.c.parent == artefact_id)).scalars()
    names = connection.execute(select(aliases.c.name).where(aliases.c.target == artefact_id)).scalars()
    users = [*(f"alias {name}" for name in sorted(names)), *sorted(children)]
    if users:
        raise RegistryError(f"{artefact_id} is still in use", allowed=f"remove or move first: {', '.join(users)}")
