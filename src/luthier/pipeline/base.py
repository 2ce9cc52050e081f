"""The project's base model, and rows as its tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from luthier.core.artefacts import BaseModel
from luthier.core.errors import TemplateError
from luthier.core.identity import content_id
from luthier.core.recipe import Dtype, Task
from luthier.core.rows import Row, TokenRow
from luthier.models.cache import ModelCache, default_cache_root
from luthier.models.loading import load_model, load_tokenizer, resolve_dtype
from luthier.models.plain_text import PlainText
from luthier.models.sources import BaseFiles, find_base
from luthier.models.template import ChatTemplate
from luthier.pipeline.project import Project

TASKS_OF_PLAIN_TEXT: tuple[Task, ...] = ("classification",)


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
    """The files of the recipe's base model, fetched on first use."""
    cache = ModelCache(default_cache_root())
    return find_base(project.recipe.model.base, project.workspace.root, cache, project.reporter.say)


def open_base(project: Project) -> Base:
    """Find, fetch and register the recipe's base model."""
    files = base_files(project)
    artefact = register_model(project, files)
    tokenizer = load_tokenizer(files)
    read = PlainText if project.recipe.task in TASKS_OF_PLAIN_TEXT else ChatTemplate
    return Base(artefact, files, tokenizer, read(tokenizer, files.name), resolve_dtype(project.recipe.model.dtype))


def register_model(project: Project, files: BaseFiles) -> BaseModel:
    """A model that others come from, by the digest of its files."""
    artefact = BaseModel(
        id=content_id("base", files.digest), path=files.folder, summary={"name": files.name, "digest": files.digest}
    )
    project.registry.add(artefact)
    return artefact
