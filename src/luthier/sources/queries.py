"""Answers of databases: a query that only reads, its rows saved as JSON lines."""

import json
import os
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from luthier.core.errors import SourceError
from luthier.core.files import atomic_path
from luthier.core.identity import file_digest
from luthier.sources.records import column_names, plain_value

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

_QUOTED_OR_COMMENT = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--(?=\s|$)[^\n]*|/\*(?!!).*?\*/", re.DOTALL | re.MULTILINE
)
_WRITES = re.compile(
    r"\b(insert|update|delete|merge|into|truncate|drop|alter|create|grant|revoke|exec|execute)\b", re.IGNORECASE
)
_UNCLEAR = re.compile(r"--|/\*|\*/|['\"`]|\$\w*\$")
"""Comments and quotes that databases read differently: they might hide a statement."""
_READ_ONLY: Mapping[str, str] = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "mariadb": "SET SESSION TRANSACTION READ ONLY",
}
"""What makes a connection refuse to write, by the kind of database."""
_BATCH_ROWS = 500
_ALLOWED = "one statement that begins with SELECT or WITH and only reads; names that are SQL words in double quotes"


def save_answer(query: str, database: str, root: Path, target: Path) -> None:
    """Save the rows of `query` at `target`, an object a line; the same rows again leave the file's time of change.

    `database` is an SQLAlchemy URL, or $NAME for the environment variable that holds it; a path in it starts at
    `root`. The statement is checked, the connection set to read only where the database can, and the transaction
    rolled back. Memory does not grow with the rows. Raises SourceError for a query that writes, fails or gives no
    rows, and for a database that cannot be reached; no message holds a password.
    """
    where = f"query on {database}"
    if problem := why_it_may_write(query):
        raise SourceError(f"the query {problem}", where=where, allowed=_ALLOWED)
    with atomic_path(target) as partial:
        count = 0
        with partial.open("w", encoding="ascii") as handle:
            for row in _rows(query.strip().rstrip(";"), database, root, where):
                count += 1
                handle.write(json.dumps(row) + "\n")
        if not count:
            raise SourceError("the query gave no rows", where=where)
        if target.is_file() and file_digest([target]) == file_digest([partial]):
            # Work that was done on this file counts for as long as it looks untouched.
            before = target.stat()
            os.utime(partial, ns=(before.st_atime_ns, before.st_mtime_ns))


def why_it_may_write(query: str) -> str | None:
    """What makes a statement other than one that only reads; None for a plain SELECT or WITH.

    Quoted text and comments are not looked at. In doubt a statement is refused.
    """
    code = _QUOTED_OR_COMMENT.sub(" ", query).strip().rstrip("; \t\r\n")
    if ";" in code:
        return "holds several statements"
    if not re.match(r"\(*\s*(select|with)\b", code, re.IGNORECASE):
        return "does not begin with SELECT or WITH"
    if found := _WRITES.search(code):
        return f"holds {found[0].upper()}, which may write"
    if found := _UNCLEAR.search(code):
        return f"holds {found[0]} in a place where databases differ in what it means"
    return None


def _rows(query: str, database: str, root: Path, where: str) -> Iterator[dict[str, object]]:
    from sqlalchemy.exc import SQLAlchemyError

    url = _url(database, where)
    try:
        with _read_only(_engine(url, root, where)) as connection:
            result = connection.execution_options(
                stream_results=True, max_row_buffer=_BATCH_ROWS, no_parameters=True
            ).exec_driver_sql(query)
            names = column_names(list(map(str, result.keys())))
            for batch in result.partitions(_BATCH_ROWS):
                yield from (dict(zip(names, map(plain_value, row), strict=True)) for row in batch)
    except (SQLAlchemyError, sqlite3.Error) as error:
        problem = str(getattr(error, "orig", None) or error)
        raise SourceError(f"the query failed: {_without_password(problem, url)}", where=where) from None
    except (ValueError, OverflowError, RecursionError) as error:  # such as JSON that the driver of a database parses
        problem = _without_password(str(error), url)
        raise SourceError(f"a value of the answer cannot be read: {problem}", where=where) from None


def _url(database: str, where: str) -> "URL":
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    text = os.environ.get(database[1:], "") if database.startswith("$") else database
    if not text:
        raise SourceError(
            f"the environment variable {database[1:]} is not set", where=where, allowed="an SQLAlchemy URL"
        )
    try:
        return make_url(text)
    except (ArgumentError, ValueError):
        # The text may hold a password, and the error the text.
        raise SourceError("the database is no URL", where=where, allowed="sqlite:///shop.db, or the like") from None


def _engine(url: "URL", root: Path, where: str) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.exc import NoSuchModuleError
    from sqlalchemy.pool import NullPool

    try:
        if url.get_backend_name() == "sqlite":
            path = root / (url.database or "")
            if not path.is_file():
                raise SourceError(f"no such database file: {url.database}", where=where)
            return create_engine("sqlite://", creator=lambda: _open_sqlite(path), poolclass=NullPool)
        return create_engine(url, poolclass=NullPool)
    except NoSuchModuleError:
        raise SourceError(f"databases of kind {url.drivername} are not known", where=where) from None
    except ImportError as error:
        raise SourceError(f"the driver {error.name} of this database is not installed", where=where) from None


def _open_sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
    connection.text_factory = lambda content: content.decode(errors="replace")
    return connection


@contextmanager
def _read_only(engine: "Engine") -> "Iterator[Connection]":
    """A connection that cannot write where the database knows how, and whose transaction is rolled back anyway."""
    with engine.connect() as connection:
        if statement := _READ_ONLY.get(engine.dialect.name):
            connection.exec_driver_sql(statement)
        try:
            yield connection
        finally:
            connection.rollback()


def _without_password(problem: str, url: "URL") -> str:
    """One line, in which the password, should a driver repeat it, is not to be read."""
    line = " ".join(problem.split())
    return line.replace(str(url.password), "***") if url.password else line
