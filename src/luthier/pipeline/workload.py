"""What a plan is made for: the rows of this recipe's dataset, of another one, or rows that somebody assumes."""

from collections.abc import Sequence

from luthier.core.artefacts import Dataset
from luthier.core.errors import DatasetError
from luthier.core.rows import Row
from luthier.models.sources import base_folder, read_config
from luthier.pipeline.prepare import dataset_rows
from luthier.pipeline.project import Project
from luthier.planning import Workload
from luthier.training.objective import Example

CHARACTERS_PER_TOKEN = 4
"""Of English text, in usual vocabularies."""
TOKENS_PER_TURN = 5
"""What a chat template puts around a turn."""


def bare_config(project: Project) -> dict[str, object] | None:
    """The configuration of a base model that is a folder with a `config.json` and no weights; None for any other.
    Raises ModelError for a file that holds no fields."""
    base = project.recipe.model.base
    folder = base_folder(base, project.workspace.root) if base else None
    if folder is None or not (folder / "config.json").is_file():
        return None
    if [*folder.glob("*.safetensors"), *folder.glob("*.gguf")]:
        return None
    return read_config(folder, "model.base")


def workload_of(rows: Sequence[Example], validation: Sequence[Example], dataset: Dataset) -> Workload:
    """The examples that training reads."""
    targets = sum(row.target_tokens for row in rows)
    return Workload.of([len(row) for row in rows], targets, sum(map(len, validation)), dataset.id)


def workload_on_paper(project: Project) -> Workload:
    """Where the base model cannot read rows: those that the recipe assumes, or else those of the newest dataset, whose
    tokens are guessed from their characters. Raises DatasetError where there is neither."""
    assumed = project.recipe.planning.assume
    if assumed is not None:
        tokens, targets = assumed.rows * assumed.tokens_per_row, assumed.rows * assumed.target_tokens_per_row
        longest = assumed.tokens_per_row
        return Workload(assumed.rows, tokens, targets, longest, longest, 0, "planning.assume")
    entries = project.registry.list("dataset")
    if not entries:
        raise DatasetError(
            "there is no dataset to plan for", allowed="set planning.assume, or make one with: luthier prepare"
        )
    dataset = entries[0].artefact
    rows, validation = (dataset_rows(project, dataset, split) for split in ("train", "validation"))
    if not rows:
        raise DatasetError("there is no row to plan for", where=dataset.id)
    source = f"{dataset.id}, at {CHARACTERS_PER_TOKEN} characters a token"
    targets = sum(_tokens(_learnt(row)) for row in rows)
    held_out = sum(map(_row_tokens, validation))
    return Workload.of([_row_tokens(row) for row in rows], targets, held_out, source)


def _learnt(row: Row) -> str:
    """What is predicted of a row: the turns of the assistant, or all of a text."""
    if not row.messages:
        return row.text
    return "\n".join(message["content"] for message in row.messages if message["role"] == "assistant")


def _row_tokens(row: Row) -> int:
    return _tokens(row.plain()) + TOKENS_PER_TURN * len(row.messages)


def _tokens(text: str) -> int:
    return max(1, len(text) // CHARACTERS_PER_TOKEN)
