"""The generation engine over a project's base model and its runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from luthier.core.artefacts import Artefact
from luthier.core.errors import ModelError
from luthier.core.generation import GenerationEvent, GenerationRequest
from luthier.core.rows import Message
from luthier.inference import Engine
from luthier.pipeline.base import Base
from luthier.pipeline.project import Project
from luthier.pipeline.train import ADAPTER


class RunsGenerator:
    """A `Generator` for the base model and every run made from it; adapters are loaded when first asked for."""

    def __init__(self, project: Project, base: Base) -> None:
        self._project, self._base_id = project, base.artefact.id
        self._engine = Engine(base.load(), base.tokenizer, base.template, self._base_id)

    @property
    def models(self) -> tuple[str, ...]:
        return (self._base_id, *(run.id for run in runs_of(self._project, self._base_id)))

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        """See `Generator.stream`."""
        for model in {request.model for request in requests} - {self._base_id}:
            self._engine.add_adapter(model, adapter_folder(self._project, model))
        return self._engine.stream(requests)


def runs_of(project: Project, base: str) -> list[Artefact]:
    """The runs trained from this base model, the latest first."""
    entries = project.registry.list("run")
    return [entry.artefact for entry in entries if entry.artefact.summary.get("base") == base]


def adapter_folder(project: Project, run: str) -> Path:
    """Where a run's adapter lies. Raises ModelError when its files are gone."""
    path = project.registry.get(run, "run").path
    assert path is not None
    folder = project.workspace.root / path / ADAPTER
    if not folder.is_dir():
        raise ModelError("the adapter's files are gone", where=str(folder), allowed="train again: luthier train")
    return folder


def conversation(system: str, *turns: Message) -> tuple[Message, ...]:
    """The turns behind the recipe's system prompt, as the rows were trained."""
    return ({"role": "system", "content": system}, *turns) if system else turns
