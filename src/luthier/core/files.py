"""Files and folders that are there whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luthier.core.errors import WorkspaceError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A path beside `path` to write a file to; renamed to `path` at the end, removed on an error.

    Raises WorkspaceError when the disk is full or the place cannot be written.
    """
    with _plain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _beside(path)
        try:
            partial.touch()
            yield partial
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Like `atomic_path` for a folder. A folder that already stands at `path` is replaced."""
    with _plain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = _beside(path)
        try:
            partial.mkdir()
            yield partial
            replace_directory(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def replace_directory(source: Path, target: Path) -> None:
    """Move folder `source` to `target` and remove what stood there."""
    if not target.exists():
        source.rename(target)
        return
    old = target.rename(_beside(target))
    try:
        source.rename(target)
    except OSError:
        old.rename(target)
        raise
    shutil.rmtree(old)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, whole or not at all."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _beside(path: Path) -> Path:
    """A hidden path that nothing else uses. What is made there has the permissions that any new file has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


@contextmanager
def _plain_write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(f"cannot write: {error.strerror or error}", where=str(path)) from error


def default_cache_root() -> Path:
    """`LUTHIER_CACHE`, or `luthier` in the user's cache folder.

    Raises WorkspaceError where that is below a home folder and the user has none.
    """
    try:
        if chosen := os.environ.get("LUTHIER_CACHE"):
            return Path(chosen).expanduser()
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "luthier"
    except RuntimeError as error:
        raise WorkspaceError(
            "there is no home folder to keep models in", where="LUTHIER_CACHE", allowed="set it to a folder of yours"
        ) from error
