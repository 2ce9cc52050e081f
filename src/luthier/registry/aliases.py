"""Names that point to artefacts, and every change of them."""

import re
import time
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from luthier.core.errors import RegistryError
from luthier.registry.references import looks_like_id
from luthier.store.tables import alias_history
from luthier.store.tables import aliases as alias_table

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Alias:
    """A name and the id it points to now; `updated_at` in seconds since the epoch, UTC."""

    name: str
    target: str
    updated_at: float


@dataclass(frozen=True, slots=True)
class AliasChange:
    """One move of an alias from `previous` (None the first time) to `target`."""

    name: str
    target: str
    previous: str | None
    at: float
    reason: str


def point_alias(connection: Connection, name: str, target: str, reason: str) -> Alias:
    """Let `name` point to the artefact with id `target`, and note why."""
    if not _NAME.fullmatch(name) or looks_like_id(name):
        raise RegistryError(
            f"{name!r} cannot be an alias",
            allowed="small letters, digits, '.', '_' and '-', at most 64, and nothing that looks like an id",
        )
    now = time.time()
    current = alias_table.c.name == name
    previous = connection.execute(select(alias_table.c.target).where(current)).scalar_one_or_none()
    if previous is None:
        connection.execute(insert(alias_table).values(name=name, target=target, updated_at=now))
    else:
        connection.execute(update(alias_table).where(current).values(target=target, updated_at=now))
    connection.execute(insert(alias_history).values(name=name, target=target, previous=previous, at=now, reason=reason))
    return Alias(name, target, now)


def list_aliases(connection: Connection) -> list[Alias]:
    """All aliases by name."""
    rows = connection.execute(select(alias_table).order_by(alias_table.c.name))
    return [Alias(row.name, row.target, row.updated_at) for row in rows]


def list_changes(connection: Connection, name: str) -> list[AliasChange]:
    """Every change of the alias, oldest first."""
    rows = connection.execute(
        select(alias_history).where(alias_history.c.name == name).order_by(alias_history.c.number)
    )
    return [AliasChange(row.name, row.target, row.previous, row.at, row.reason) for row in rows]
