"""The files that a recipe's sources stand for: folders, patterns, queries and data sets of the Hub."""

import errno
import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from luthier.core.characters import LONE_SURROGATE
from luthier.core.errors import SourceError
from luthier.core.identity import content_id
from luthier.core.recipe import DataSection, SourceSection
from luthier.core.workspace import RECIPE_NAME, Workspace
from luthier.sources import SUFFIXES, fetch_dataset, is_readable, save_answer

Say = Callable[[str], None]
_PATTERN_CHARACTERS = frozenset("*?[")


def with_files(data: DataSection, workspace: Workspace, say: Say) -> DataSection:
    """The section with each source replaced by the files that it stands for, each with its `path`.

    A folder or pattern stands for the files in it that can be read, by name; `say` is told which others were left out.
    Queries are run, and data sets of the Hub fetched, into files of the workspace. Of `held_out`, too, each path is
    replaced by its files. Raises SourceError where there is no file, and as `save_answer` and `fetch_dataset` do.
    """
    files = [
        source.model_copy(update={"path": path, "query": "", "database": "", "hub": "", "split": ""})
        for source in data.sources
        for path in _paths(source, workspace, say)
    ]
    held_out = [name for path in data.held_out for name in files_of(path, workspace.root, say)]
    return data.model_copy(update={"sources": tuple(files), "held_out": tuple(held_out)})


def files_at(path: str, root: Path) -> list[str]:
    """The files that can be read in a folder or by a pattern, as a recipe that lists them one by one would name them.

    Empty for the path of one file. Raises SourceError for a folder that nobody may look into.
    """
    with _plain_path_errors(path):
        return [name for name in _candidates(path, root) if is_readable(root / name)]


def _paths(source: SourceSection, workspace: Workspace, say: Say) -> list[str]:
    place = workspace.folder("source", "any").parent
    if source.hub:
        fetched = fetch_dataset(source.hub, source.split, place, say)
        return [str(workspace.relative(path)) for path in fetched]
    if source.query:
        target = place / f"{content_id('query', [source.query, source.database])}.jsonl"
        say(f"querying {source.database}")
        save_answer(source.query, source.database, workspace.root, target)
        return [str(workspace.relative(target))]
    return files_of(source.path, workspace.root, say)


def files_of(path: str, root: Path, say: Say) -> list[str]:
    """The one file of a path, or all of a folder or pattern that can be read.

    Raises SourceError where there is none, and for a folder in it that nobody may look into.
    """
    with _plain_path_errors(path):
        if not _stands_for_many(path, root):
            return [path]
        candidates = _candidates(path, root)
    found = [name for name in candidates if is_readable(root / name)]
    if not found:
        what = "no file to read in this folder" if (root / path).is_dir() else "no file to read matches"
        raise SourceError(what, where=path, allowed=f"files ending in {', '.join(SUFFIXES)}")
    if len(found) < len(candidates):
        others = _endings(name for name in candidates if not is_readable(root / name))
        say(f"{path}: skipped {len(candidates) - len(found)} of unknown kind: {others}")
    return found


@contextmanager
def _plain_path_errors(path: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise SourceError("cannot be read: Permission denied", where=str(error.filename or path)) from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SourceError(f"names no file or folder: {reason}", where=path) from error


def _stands_for_many(path: str, root: Path) -> bool:
    place = root / path
    return place.is_dir() or (not _PATTERN_CHARACTERS.isdisjoint(path) and not place.exists())


def _candidates(path: str, root: Path) -> list[str]:
    """All files of a folder or pattern but hidden ones and those of the workspace itself, sorted by their parts."""
    if not _stands_for_many(path, root):
        return []
    folder, pattern = (Path(path), "**/*") if (root / path).is_dir() else _divided(path)
    start = root / folder
    _refuse_closed(start, math.inf if "**" in pattern else pattern.count("/"))
    found = (file.relative_to(start) for file in start.glob(pattern) if file.is_file())
    shown = [file for file in found if not any(part.startswith(".") for part in file.parts)]
    for file in filter(is_readable, shown):
        _refuse_undecoded(str(folder / file))
    return [str(folder / file) for file in sorted(shown) if (start / file) != root / RECIPE_NAME]


def _refuse_closed(start: Path, depth: float) -> None:
    """Raise PermissionError for a folder that cannot be listed, so many levels below or fewer: a pattern passes it over
    in silence."""

    def fail(error: OSError) -> None:
        raise error

    for folder, inner, _ in os.walk(start, onerror=fail):
        deeper = len(Path(folder).relative_to(start).parts) < depth
        inner[:] = [name for name in inner if deeper and not name.startswith(".")]
        if not os.access(folder, os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)


def _refuse_undecoded(name: str) -> None:
    """Raise SourceError for a name that is not UTF-8: no table and no report could tell of it."""
    if not name.isascii() and LONE_SURROGATE.search(name):
        shown = name.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise SourceError("the name of the file is not UTF-8", where=shown, allowed="rename it")


def _divided(path: str) -> tuple[Path, str]:
    """The folder that a pattern starts from, and the rest of it."""
    parts = Path(path).parts
    fixed = next(place for place, part in enumerate(parts) if not _PATTERN_CHARACTERS.isdisjoint(part))
    return Path(*parts[:fixed]), "/".join(parts[fixed:])


def _endings(names: Iterable[str]) -> str:
    counts = Counter(Path(name).suffix.lower() or "no ending" for name in names)
    return ", ".join(f"{ending} ({count})" for ending, count in sorted(counts.items()))
