"""What the database complains of, in plain sentences."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from json import JSONDecodeError

from sqlalchemy.exc import DatabaseError, DataError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from luthier.core.errors import WorkspaceError

_SENTENCES: Mapping[str, tuple[str, str | None]] = {
    "SQLITE_FULL": ("the disk is full, nothing was written", "free some space and try again"),
    "SQLITE_READONLY": ("the database cannot be written", "a folder that you may write to"),
    "SQLITE_CANTOPEN": ("the database cannot be opened", "a file in a folder that you may write to"),
    "SQLITE_PERM": ("the database cannot be opened", "a file in a folder that you may write to"),
    "SQLITE_IOERR": ("the disk failed or is full", None),
    "SQLITE_NOTADB": ("the file is no database", "put back a copy, or move it away to start anew"),
    "SQLITE_CORRUPT": ("the database is damaged", "put back a copy, or move it away to start anew"),
    "SQLITE_BUSY": ("another process keeps the database busy", "try again when it has ended"),
}
"""By the name of SQLite's primary result code; extended names such as SQLITE_IOERR_WRITE begin with it."""


@contextmanager
def plain_database_errors(where: str) -> Iterator[None]:
    """Turn failures of the place (disk, rights, damage, contention) into a WorkspaceError about `where`.

    A broken constraint or statement is a bug or the caller's to explain, and passes through.
    """
    try:
        yield
    except (IntegrityError, ProgrammingError, DataError):
        raise
    except DatabaseError as error:
        what, allowed = _sentence(error.orig)
        raise WorkspaceError(what, where=where, allowed=allowed) from error
    except JSONDecodeError as error:
        raise WorkspaceError(
            f"the database is damaged: what should be JSON in it is not, {error}",
            where=where,
            allowed="put back a copy, or move it away to start anew",
        ) from error
    except PoolTimeoutError as error:
        raise WorkspaceError("too many threads wait for the database", where=where) from error


def _sentence(cause: BaseException | None) -> tuple[str, str | None]:
    name = str(getattr(cause, "sqlite_errorname", ""))
    for code, sentence in _SENTENCES.items():
        if name.startswith(code):
            return sentence
    return f"the database refused: {cause}", None
