"""`luthier data tokens`: rows as the model reads them."""

from dataclasses import dataclass
from itertools import islice

from luthier.core.errors import DatasetError
from luthier.core.rows import Row, Split, TokenRow
from luthier.data import iterate_rows
from luthier.models.token_view import Run, token_runs
from luthier.pipeline.base import open_base
from luthier.pipeline.datasets import dataset_folder
from luthier.pipeline.project import Project


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row, its tokens with their targets, and the same as text."""

    row: Row
    tokens: TokenRow
    runs: tuple[Run, ...]


def show_tokens(
    project: Project, dataset: str | None = None, split: Split = "train", limit: int = 3, row: str | None = None
) -> list[ReadRow]:
    """The first rows of a split, or the one with id `row` in any split, encoded as training does.

    Raises DatasetError for a row that is not there, TemplateError for one that the chat template refuses.
    """
    folder = dataset_folder(project, dataset)
    base = open_base(project)
    wanted = (each for each, place in iterate_rows(folder) if (place == split if row is None else each.id == row))
    rows = list(islice(wanted, limit if row is None else 1))
    if row is not None and not rows:
        raise DatasetError(f"no row {row}", where=folder.name, allowed="an id as `data show` prints it")
    read = []
    for each in rows:
        tokens = base.reader.encode(each)
        runs = token_runs(base.tokenizer, tokens, base.reader.control_tokens)
        read.append(ReadRow(each, tokens, tuple(runs)))
    return read
