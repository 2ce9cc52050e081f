"""General rows that are mixed into training, so that what they teach is not forgotten."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from luthier.core.errors import DatasetError, SourceError, TemplateError
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
    """The rows that may be mixed in, without the recipe's system prompt: those that can be learnt, are no longer than
    rows may be, and like none that is held out. Raises DatasetError where none is left, SourceError for files that
    cannot be read."""
    data = project.recipe.data.model_copy(update={"system": ""})
    root = project.workspace.root
    rows = [row for name in replay_files(project) for row in rows_of_file(root / name, name, data, project.recipe.task)]
    leaking = {leak.known for leak in find_leaks(enumerate(rows), held_out).leaks}
    kept: list[TokenRow] = []
    left_out: Counter[str] = Counter()
    for place, row in enumerate(rows):
        tokens = _encoded(base, replace(row, id=f"{REPLAY}{row.id}"))
        if place in leaking:
            left_out["like a row that is held out"] += 1
        elif tokens is None or not tokens.target_tokens:
            left_out["without an answer or refused by the template"] += 1
        elif len(tokens) > data.max_length:
            left_out["too long"] += 1
        else:
            kept.append(tokens)
    if not kept:
        raise DatasetError(
            "no row to replay is left", where="training.replay", allowed=f"all are left out: {_told(left_out)}"
        )
    if left_out:
        project.reporter.say(f"of {len(rows)} rows to replay, {left_out.total()} are left out: {_told(left_out)}")
    return kept


def _encoded(base: Base, row: Row) -> TokenRow | None:
    try:
        return base.reader.encode(row)
    except TemplateError:
        return None


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items())
