"""Files that no artefact needs any more."""

import math
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from luthier.core.artefacts import ARTEFACT_TYPES, Artefact
from luthier.core.errors import WorkspaceError
from luthier.core.workspace import Workspace
from luthier.store import Store
from luthier.store.artefacts import list_entries

RESUMABLE_SECONDS = 24 * 3600.0
"""How long an interrupted run or preparation (`*.partial`) stays where nobody has written to it, to be resumed."""

_ARTEFACT = re.compile(rf"({'|'.join(ARTEFACT_TYPES)})-[0-9a-f]{{12}}")

IGNORED_BY_GIT = ".gitignore"
"""The one hidden file beside the database that is meant to be there."""


@dataclass(frozen=True, slots=True)
class Garbage:
    """What a collection removed: paths relative to the workspace, and the bytes that their files took."""

    removed: tuple[Path, ...]
    bytes_freed: int
    strange: tuple[Path, ...] = ()
    """What another database may have known, such as one that was lost: it is left where it is."""


def collect_garbage(store: Store, workspace: Workspace) -> Garbage:
    """Remove what killed commands and removed artefacts have left in the workspace's state folder.

    That is: folders of artefacts that no row names, what was found of base models that are gone, hidden temporary
    files, abandoned runs, and interrupted runs and preparations that nobody has written to for a day. A folder of an
    artefact in which anything is older than all that the database knows stays: the database may have been lost and
    begun anew, and a trained run is not garbage for that. Times tell, so a workspace is copied with them, as by
    `cp -a`. Call it with the workspace locked: work in progress looks like an orphan.
    Raises WorkspaceError for what cannot be removed.
    """
    with store.read() as connection:
        entries = list_entries(connection)
    artefacts = [entry.artefact for entry in entries]
    ids, needed = {artefact.id for artefact in artefacts}, _places(workspace, artefacts)
    since = min((entry.created_at for entry in entries), default=math.inf)
    removed, strange, freed = [], [], 0
    for path in _candidates(workspace):
        if path.name in ids or _overlaps(path, needed) or _resumable(path):
            continue
        named = workspace.relative(path.parent) / path.name
        if _ARTEFACT.fullmatch(path.name) and min(_times(path)) < since:
            strange.append(named)
            continue
        freed += _delete(path)
        removed.append(named)
    return Garbage(tuple(removed), freed, tuple(strange))


def delete_files(workspace: Workspace, artefact: Artefact, others: Iterable[Artefact]) -> int:
    """Delete the files of an artefact that lie inside the state folder, unless another one needs them.

    Returns the bytes freed.
    """
    if artefact.path is None:
        return 0
    state, path = workspace.state.resolve(), (workspace.root / artefact.path).resolve()
    inside = path.is_relative_to(state) and path.parent != state and path != state
    if not inside or not path.exists() or _overlaps(path, _places(workspace, others)):
        return 0
    return _delete(path)


def _candidates(workspace: Workspace) -> Iterator[Path]:
    """Whatever lies where artefacts do or what was found of them, and hidden files beside the database."""
    if workspace.state.is_dir():
        hidden = (path for path in workspace.state.iterdir() if path.name.startswith("."))
        yield from sorted(path for path in hidden if path.name != IGNORED_BY_GIT)
    kept = [workspace.folder(kind, "any") for kind in ARTEFACT_TYPES]
    for folder in (place.parent for place in (*kept, workspace.measured("any"))):
        if folder.is_dir():
            yield from sorted(folder.iterdir())


def _places(workspace: Workspace, artefacts: Iterable[Artefact]) -> list[Path]:
    return [(workspace.root / artefact.path).resolve() for artefact in artefacts if artefact.path is not None]


def _overlaps(path: Path, needed: Iterable[Path]) -> bool:
    real = path.resolve()
    return any(place.is_relative_to(real) or real.is_relative_to(place) for place in needed)


def _resumable(path: Path) -> bool:
    if path.suffix != ".partial":
        return False
    return time.time() - max(_times(path)) < RESUMABLE_SECONDS


def _times(path: Path) -> Iterator[float]:
    """When a folder and each thing in it were last written to."""
    yield from (inner.lstat().st_mtime for inner in (path, *path.rglob("*")))


def _delete(path: Path) -> int:
    """Delete a file, a link (not what it points to) or a folder; returns the bytes of its files."""
    try:
        if path.is_symlink() or not path.is_dir():
            size = path.lstat().st_size
            path.unlink()
            return size
        size = sum(inner.lstat().st_size for inner in path.rglob("*") if inner.is_symlink() or inner.is_file())
        shutil.rmtree(path)
        return size
    except OSError as error:
        raise WorkspaceError(f"cannot be removed: {error.strerror}", where=str(path)) from error
