"""One command at a time may change a workspace."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from luthier.core.errors import WorkspaceError
from luthier.core.files import write_text


@contextmanager
def workspace_lock(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file at `path` for the command `what`; freed at the end, and by the system if the process dies.

    It is not re-entrant. Raises WorkspaceError at once, naming the holder, when another one has it.
    """
    lock = FileLock(path, blocking=False)
    holder = path.with_name(f"{path.name}.holder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise WorkspaceError(
            f"another luthier command{_describe(holder)} is working in this workspace",
            where=str(path.parent.parent),
            allowed="wait until it has ended",
        ) from error
    except OSError as error:
        raise WorkspaceError(f"cannot be locked: {error.strerror}", where=str(path)) from error
    try:
        write_text(holder, json.dumps({"what": what, "process": os.getpid()}))
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    """Who holds the lock, as far as it is known: the holder may not have signed yet."""
    try:
        signed = json.loads(holder.read_text(encoding="utf-8"))
        return f" ({signed['what']}, process {signed['process']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
