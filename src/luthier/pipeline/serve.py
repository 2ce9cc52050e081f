"""`luthier serve`: the API over the base model, every run, and the released one under the recipe's name."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fastapi import FastAPI

from luthier.core.errors import ModelError
from luthier.data.redaction import redaction_rules
from luthier.monitoring import RequestLog
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator, runs_of
from luthier.pipeline.project import Project
from luthier.pipeline.release import released
from luthier.serving import Limits, ServedModel, create_app, running
from luthier.serving import serve as serve_app
from luthier.text import RedactionRules, redactor


class RegistryCatalogue:
    """What is offered now: asked anew for every request, so that a promotion counts without a restart."""

    def __init__(self, project: Project, base: str) -> None:
        self._project, self._base = project, base

    def models(self) -> Sequence[ServedModel]:
        """The released run under the recipe's name first, then the base model, then every run by its id."""
        registry, base = self._project.registry, self._base
        entries = {entry.artefact.id: entry for entry in registry.list()}
        runs = [run.id for run in runs_of(self._project, base)]

        def served(name: str, run: str, release: str | None = None) -> ServedModel:
            parent = None if run == base else base
            return ServedModel(name, run, run, release, base, parent, int(entries[run].created_at))

        offered = [served(base, base), *(served(run, run) for run in runs)]
        release = released(self._project)
        if release and release.parents[0] in runs:
            offered.insert(0, served(self._project.recipe.name, release.parents[0], release.id))
        return offered


def serve(project: Project, on_ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM, on the recipe's host and port. `on_ready` is told the URL."""
    settings = project.recipe.serving
    serve_app(api(project), settings.host, settings.port, on_ready)


@contextmanager
def background_server(project: Project) -> Iterator[str]:
    """The URL of the API on a free port, in a background thread until the end of the `with`."""
    with running(api(project)) as url:
        yield url


def api(project: Project) -> FastAPI:
    """The HTTP application."""
    serving = project.recipe.serving
    project.reporter.say("loading the model")
    base = open_base(project)
    return create_app(
        RunsGenerator(project, base),
        RegistryCatalogue(project, base.artefact.id),
        RequestLog(project.store, log_redaction(project)),
        Limits(serving.max_new_tokens, serving.max_seconds, queue=serving.queue),
        system=project.recipe.data.system,
    )


def log_redaction(project: Project) -> Callable[[str], str]:
    """How the request log masks personal data: the kinds that the recipe's cleaning looks for, and always."""
    settings = project.recipe.data.clean.redact
    mask = redactor(redaction_rules(settings) if settings else RedactionRules())
    return lambda text: mask(text).text


def resolve_model(project: Project, base: str, name: str | None) -> str:
    """The base model's or a run's id for a name: an alias, an id or its beginning; the best there is for None."""
    catalogue = RegistryCatalogue(project, base).models()
    if name is None:
        chosen = next((model for model in catalogue if model.run != base), catalogue[0])
        return chosen.run
    for model in catalogue:
        if model.id == name:
            return model.run
    artefact = project.registry.get(name)
    if artefact.kind == "release":
        return artefact.parents[0]
    if artefact.id in {model.run for model in catalogue}:
        return artefact.id
    raise ModelError(f"{name} is no model of this workspace", allowed=", ".join(model.id for model in catalogue))
