"""The application: parts put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI

from luthier.core.generation import Generator
from luthier.core.requests import Sink
from luthier.serving.access import authorise
from luthier.serving.api_error import add_error_handlers
from luthier.serving.catalogue import Catalogue
from luthier.serving.desk import Desk
from luthier.serving.guard import Guard
from luthier.serving.limits import Limits
from luthier.serving.recorder import Recorder
from luthier.serving.routes import add_routes
from luthier.serving.worker import GenerationWorker


def create_app(generator: Generator, catalogue: Catalogue, sink: Sink, limits: Limits, *, system: str = "") -> FastAPI:
    """The API over one generator.

    `system` is the recipe's system prompt; it goes in front of conversations that bring none, so that what was trained
    is what is served. The sink is used from one thread, generator and catalogue from several.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with Recorder(sink) as recorder, GenerationWorker(generator, limits.parallel, limits.queue) as worker:
            app.state.desk = Desk(catalogue, worker, recorder, system=system, limits=limits)
            yield

    app = FastAPI(
        title="Luthier",
        version=version("luthier"),
        lifespan=lifespan,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        dependencies=[Depends(authorise)],
    )
    app.add_middleware(Guard, body_bytes=limits.body_bytes)
    add_error_handlers(app)
    add_routes(app)
    return app
