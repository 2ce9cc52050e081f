"""From what a person types to an id."""

import difflib
from string import hexdigits

from sqlalchemy import ColumnElement, Connection, select

from luthier.core.artefacts import ARTEFACT_TYPES
from luthier.core.errors import RegistryError
from luthier.store.tables import aliases, artefacts, requests

PREFIX_CHARACTERS = 4
"""How much of an id, after its kind, a person must type."""

REQUEST_PREFIX = "chatcmpl"


def resolve(connection: Connection, reference: str, *, with_requests: bool = False) -> str:
    """The id that `reference` stands for: an id, an alias, or the unique beginning of an id.

    Requests count only `with_requests`. Raises RegistryError with close names, or with all that it could mean.
    """
    columns = [artefacts.c.id, *([requests.c.id] if with_requests else [])]
    for column in columns:
        if connection.execute(select(column).where(column == reference)).first():
            return reference
    target = connection.execute(select(aliases.c.target).where(aliases.c.name == reference)).scalar_one_or_none()
    if target is not None:
        return str(target)
    found = [id for column in columns for id in _beginning_with(connection, column, reference)]
    if len(found) == 1:
        return found[0]
    if found:
        raise RegistryError(f"{reference!r} is the beginning of several ids", allowed=_some(found))
    raise RegistryError(f"nothing is called {reference!r}", allowed=_suggest(connection, reference))


def looks_like_id(name: str) -> bool:
    """Whether a name could be mistaken for an id or the beginning of one."""
    kind, dash, digits = name.partition("-")
    return bool(dash) and kind in {*ARTEFACT_TYPES, REQUEST_PREFIX} and set(digits) <= set(hexdigits)


def _beginning_with(connection: Connection, column: ColumnElement[str], reference: str) -> list[str]:
    if not looks_like_id(reference) or len(reference.partition("-")[2]) < PREFIX_CHARACTERS:
        return []
    query = select(column).where(column.startswith(reference, autoescape=True)).order_by(column).limit(10)
    return list(connection.execute(query).scalars())


def _suggest(connection: Connection, reference: str) -> str:
    names = [
        *connection.execute(select(aliases.c.name)).scalars(),
        *connection.execute(select(artefacts.c.id)).scalars(),
    ]
    close = difflib.get_close_matches(reference, names, n=3)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "an id, an alias, or the beginning of an id with at least 4 characters after its kind"


def _some(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
