"""The generation engine over a project's base model and its runs."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from luthier.core.artefacts import Artefact
from luthier.core.errors import LuthierError
from luthier.core.generation import GenerationEvent, GenerationRequest, events_of
from luthier.core.recipe import Quantization
from luthier.core.rows import Message
from luthier.inference import Engine
from luthier.models.adapter import without_adapter
from luthier.models.methods import ADAPTER, load_trained, shares_base
from luthier.pipeline.base import TASKS_OF_PLAIN_TEXT, Base
from luthier.pipeline.project import Project


class RunsGenerator:
    """A `Generator` for the base model and every run made from it; runs are loaded when first asked for.

    Adapters share one engine with the base model. A run with weights of its own has its own engine.
    """

    def __init__(self, project: Project, base: Base) -> None:
        self._project, self._base, self._base_id = project, base, base.artefact.id
        self._template = base.template
        self._shared = self._engine(base.load(), self._base_id)
        self._engines = {self._base_id: self._shared}
        """By each model that has been asked for."""
        self._loading = threading.Lock()

    @property
    def models(self) -> tuple[str, ...]:
        return (self._base_id, *(run.id for run in runs_of(self._project, self._base_id)))

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        """See `Generator.stream`."""
        by_engine: dict[Engine, list[int]] = {}
        for index, request in enumerate(requests):
            try:
                with self._loading:
                    by_engine.setdefault(self._engine_for(request.model), []).append(index)
            except LuthierError as error:
                for choice in range(request.n):
                    yield GenerationEvent(index, "", choice=choice, error=error)
        for engine, indices in by_engine.items():
            with closing(events_of(engine, [requests[index] for index in indices])) as events:
                for event in events:
                    yield replace(event, index=indices[event.index])

    def quantization(self, model: str) -> Quantization | None:
        """How the weights that answer for a model are quantised; None where it has kept its own."""
        asked = self._project.recipe.serving.quantization
        with self._loading:
            return asked if self._engine_for(model).weights == asked else None

    def _engine_for(self, model: str) -> Engine:
        """Raises LuthierError for a model that there is none of, or that cannot be loaded."""
        if model not in self._engines:
            folder = run_folder(self._project, model)
            if shares_base(folder):
                self._shared.add_adapter(model, folder / ADAPTER)
                self._engines[model] = self._shared
            else:
                self._engines[model] = self._engine(load_trained(folder, self._base.load, self._base.dtype), model)
        return self._engines[model]

    def _engine(self, model: Any, name: str) -> Engine:
        quantization = self._project.recipe.serving.quantization
        causal = without_adapter(model)
        engine = Engine(causal, self._base.tokenizer, self._template, name, quantization=quantization)
        if quantization:
            self._project.reporter.say(f"{name} answers with weights in {engine.weights}")
        if engine.fast_path != "on":
            self._project.reporter.say(f"{name} answers one request at a time; the fast path is {engine.fast_path}")
        return engine


def runs_of(project: Project, base: str) -> list[Artefact]:
    """The runs trained from this base model that answer, the latest first."""
    runs = (entry.artefact for entry in project.registry.list("run"))
    return [run for run in runs if run.summary.get("base") == base and task_of(run) not in TASKS_OF_PLAIN_TEXT]


def task_of(run: Artefact) -> str:
    """What a run was trained for; runs of before there was a choice do not say."""
    return str(run.summary.get("task", "chat"))


def run_folder(project: Project, run: str) -> Path:
    """Where a run's files lie."""
    path = project.registry.get(run, "run").path
    assert path is not None
    return project.workspace.root / path


def conversation(system: str, *turns: Message) -> tuple[Message, ...]:
    """The turns behind the recipe's system prompt, as the rows were trained."""
    return ({"role": "system", "content": system}, *turns) if system else turns
