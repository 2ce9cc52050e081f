"""General rows that are mixed into training, so that what they teach is not forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from luthier.core.errors import SourceError
from luthier.core.identity import file_digest
from luthier.core.rows import Row, TokenRow
from luthier.data import find_leaks, rows_of_file
from luthier.pipeline.base import Base
from luthier.pipeline.project import Project
from luthier.pipeline.source_files import files_of

REPLAY = "replay/"
"""What the ids of these rows begin with."""


def replay_files(project: Project) -> Mapping[str, str]:
    """The files that the recipe replays, with their SHA-256. Raises SourceError where there is none."""
    settings, root = project.recipe.training.replay, project.workspace.root
    if settings is None:
        return {}
    names = [name for path in settings.sources for name in files_of(path, root, project.reporter.say)]
    for name in names:
        if not (root / name).is_file():
            raise SourceError("no such file", where=name, allowed="what training.replay.sources names must be there")
    return {name: file_digest([root / name]) for name in names}


def replayed(project: Project, base: Base, held_out: Sequence[Row]) -> list[TokenRow]:
    """The rows that may be mixed in, without the recipe's system prompt: those that are no longer than rows may be and
    like none that is held out. Raises SourceError and DatasetError for files without rows."""
    data = project.recipe.data.model_copy(update={"system": ""})
    root = project.workspace.root
    rows = [row for name in replay_files(project) for row in rows_of_file(root / name, name, data, project.recipe.task)]
    leaking = {leak.known for leak in find_leaks(enumerate(rows), held_out).leaks}
    long = {place for place, row in enumerate(rows) if base.reader.tokens_over(row, data.max_length) is not None}
    if left_out := leaking | long:
        reasons = f"{len(long)} are too long, {len(leaking)} are like a row that is held out"
        project.reporter.say(f"{len(left_out)} of {len(rows)} rows to replay are left out: {reasons}")
    kept = [row for place, row in enumerate(rows) if place not in left_out]
    return base.tokens([replace(row, id=f"{REPLAY}{row.id}") for row in kept])
