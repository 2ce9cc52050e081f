"""Artefacts as rows: written with their parents, read back as the types of core."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from luthier.core.artefacts import ARTEFACT_TYPES, FORMAT_VERSION, Artefact
from luthier.core.errors import WorkspaceError
from luthier.store.tables import artefacts, parents


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An artefact and what the database adds to it. Times in seconds since the epoch, UTC.

    The same content may be made again: `created_at` is the first time, `made_at` the last.
    """

    artefact: Artefact
    created_at: float
    made_at: float
    environment: Mapping[str, object] | None = None


def put_artefact(connection: Connection, artefact: Artefact, environment: Mapping[str, object] | None = None) -> None:
    """Write an artefact, or refresh the one of the same id: its path, its figures, and that it was made just now.

    Parents are only ever added. Raises SQLAlchemy's IntegrityError for a parent that does not exist.
    """
    now = time.time()
    values: dict[str, object] = {
        "kind": artefact.kind,
        "path": None if artefact.path is None else artefact.path.as_posix(),
        "summary": dict(artefact.summary),
        "format_version": FORMAT_VERSION,
        "made_at": now,
    }
    if environment is not None:
        values["environment"] = dict(environment)
    refreshed = connection.execute(update(artefacts).where(artefacts.c.id == artefact.id).values(values))
    if not refreshed.rowcount:
        connection.execute(insert(artefacts).values(id=artefact.id, created_at=now, **values))
    known = set(_parents(connection, artefact.id)[artefact.id])
    new = [parent for parent in dict.fromkeys(artefact.parents) if parent not in known]
    if new:
        edges = [
            {"child": artefact.id, "position": position, "parent": parent}
            for position, parent in enumerate(new, start=len(known))
        ]
        connection.execute(insert(parents), edges)


def find_entry(connection: Connection, artefact_id: str) -> Entry | None:
    row = connection.execute(select(artefacts).where(artefacts.c.id == artefact_id)).one_or_none()
    return None if row is None else _entry(row, _parents(connection, artefact_id)[artefact_id])


def list_entries(connection: Connection, kind: str | None = None) -> list[Entry]:
    """All artefacts, or those of one kind, the one made last first."""
    query = select(artefacts).order_by(artefacts.c.made_at.desc(), artefacts.c.id)
    if kind is not None:
        query = query.where(artefacts.c.kind == kind)
    known = _parents(connection)
    return [_entry(row, known[row.id]) for row in connection.execute(query)]


def _parents(connection: Connection, child: str | None = None) -> Mapping[str, list[str]]:
    query = select(parents.c.child, parents.c.parent).order_by(parents.c.child, parents.c.position)
    if child is not None:
        query = query.where(parents.c.child == child)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.child].append(row.parent)
    return found


def _entry(row: Row[Any], parent_ids: Iterable[str]) -> Entry:
    artefact_type = ARTEFACT_TYPES.get(row.kind)
    if artefact_type is None or row.format_version > FORMAT_VERSION:
        raise WorkspaceError(
            f"{row.id} was written by a newer luthier ({row.kind}, format {row.format_version})",
            allowed="install that version or a newer one",
        )
    artefact = artefact_type(
        id=row.id,
        parents=tuple(parent_ids),
        path=None if row.path is None else Path(row.path),
        summary=row.summary,
    )
    return Entry(artefact=artefact, created_at=row.created_at, made_at=row.made_at, environment=row.environment)
