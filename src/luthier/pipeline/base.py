"""The project's base model, and rows as its tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.artefacts import BaseModel
from luthier.core.errors import TemplateError
from luthier.core.files import default_cache_root
from luthier.core.identity import content_id
from luthier.core.recipe import Dtype, Task
from luthier.core.rows import Row, TokenRow
from luthier.models.cache import ModelCache
from luthier.models.fresh import new_model
from luthier.models.loading import load_model, load_tokenizer, resolve_dtype
from luthier.models.plain_text import Learns, PlainText
from luthier.models.sources import BaseFiles, find_base
from luthier.models.template import ChatTemplate
from luthier.pipeline.project import Project

TASKS_OF_PLAIN_TEXT: Mapping[Task, Learns] = {
    "classification": "label",
    "causal_lm": "next token",
    "masked_lm": "masked tokens",
}
"""Tasks for which no chat template is needed, and what is predicted of a text."""


@dataclass(frozen=True, slots=True)
class Base:
    """Files and tokenizer of the base model, and how it reads rows; weights are loaded when they are needed."""

    artefact: BaseModel
    files: BaseFiles
    tokenizer: Any
    reader: ChatTemplate | PlainText
    dtype: Dtype

    @property
    def template(self) -> ChatTemplate:
        """The chat template. Raises TemplateError where the recipe's task has rows read as plain text."""
        if isinstance(self.reader, PlainText):
            raise TemplateError("this needs a model that answers", where="task", allowed="chat, completion")
        return self.reader

    def load(self) -> Any:
        """The model with its weights, frozen."""
        return load_model(self.files, self.dtype)

    def tokens(self, rows: Sequence[Row]) -> list[TokenRow]:
        """Rows as token ids with their targets."""
        return [self.reader.encode(row) for row in rows]


def base_files(project: Project) -> BaseFiles:
    """The files of the recipe's base model, fetched on first use; or of one that has learnt nothing yet."""
    cache, recipe, root = ModelCache(default_cache_root()), project.recipe, project.workspace.root
    if recipe.model.config:
        folder = root / Path(recipe.model.tokenizer).expanduser()
        return new_model(
            recipe.model.config,
            folder,
            recipe.task == "masked_lm",
            recipe.training.seed,
            cache,
            recipe.model.initialisation,
        )
    return find_base(recipe.model.base, root, cache, project.reporter.say)


def open_base(project: Project) -> Base:
    """Find, fetch and register the recipe's base model."""
    files = base_files(project)
    artefact = register_model(project, files)
    tokenizer = load_tokenizer(files)
    learns = TASKS_OF_PLAIN_TEXT.get(project.recipe.task)
    reader = PlainText(tokenizer, files.name, learns) if learns else ChatTemplate(tokenizer, files.name)
    return Base(artefact, files, tokenizer, reader, resolve_dtype(project.recipe.model.dtype))


def register_model(project: Project, files: BaseFiles) -> BaseModel:
    """A model that others come from, by the digest of its files."""
    artefact = BaseModel(
        id=content_id("base", files.digest), path=files.folder, summary={"name": files.name, "digest": files.digest}
    )
    project.registry.add(artefact)
    return artefact
