"""The database: opened, migrated, read and written in transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from luthier.core.errors import WorkspaceError
from luthier.store.faults import plain_database_errors
from luthier.store.migration import upgrade

BUSY_SECONDS = 30.0
"""How long a writer waits for another before it gives up."""


class Store:
    """A database at the newest revision. Safe to share between threads; several processes may open the same one.

    Close it, or use it as a context manager.
    """

    def __init__(self, engine: Engine, where: str) -> None:
        """For an engine of any database; `where` names it in error messages. Files are opened with `Store.open`."""
        self._engine = engine
        self._writer = engine.execution_options(luthier_writes=True)
        self._where = where

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the SQLite database at `path`, made where there is none, and bring it to the newest revision.

        Raises WorkspaceError where the place cannot be written, the file is damaged, or a newer luthier made it.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WorkspaceError(f"cannot be made: {error.strerror}", where=str(path.parent)) from error
        store = cls(_sqlite_engine(path), str(path))
        try:
            with _alone(path):
                store._prepare()
        except BaseException:
            store.close()
            raise
        return store

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent state for as long as it is held. Write nothing through it."""
        with plain_database_errors(self._where), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection that alone may write. Committed at the end, rolled back on an error.

        Raises WorkspaceError when the place fails, SQLAlchemy's IntegrityError for a broken constraint.
        """
        with plain_database_errors(self._where), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _prepare(self) -> None:
        with self.write() as connection:
            upgrade(connection, self._where)


def _sqlite_engine(path: Path) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},  # transactions begin in _begin_sqlite
    )
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the write lock at once: one that only turns writer midway fails instead of waiting its turn."""
    writes = connection.get_execution_options().get("luthier_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep two processes from making the same database at the same moment."""
    lock = FileLock(path.with_name(f"{path.name}.opening"), timeout=BUSY_SECONDS)
    try:
        lock.acquire()
    except Timeout as error:
        raise WorkspaceError("another process has been opening the database for too long", where=str(path)) from error
    except OSError as error:
        raise WorkspaceError(f"the database cannot be opened: {error.strerror}", where=str(path)) from error
    try:
        yield
    finally:
        lock.release()
