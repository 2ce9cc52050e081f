"""The routes: each says what it takes and gives, and leaves the work to the desk."""

from typing import Annotated, Literal

from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, Response, StreamingResponse

from luthier.core.requests import FeedbackRecord
from luthier.core.rows import Rating
from luthier.serving.api_error import ErrorBody, not_running
from luthier.serving.catalogue import ServedModel
from luthier.serving.chat_request import ChatRequest, RequestBody
from luthier.serving.chat_response import ChatCompletion, server_sent_events, whole_answer
from luthier.serving.desk import Desk

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class ModelCard(BaseModel):
    """One model on offer, with OpenAI's fields and vLLM's `root` and `parent`."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["luthier"] = "luthier"
    root: str
    parent: str | None
    run: str
    release: str | None

    @classmethod
    def of(cls, model: ServedModel) -> "ModelCard":
        return cls(
            id=model.id,
            created=model.created,
            root=model.root,
            parent=model.parent,
            run=model.run,
            release=model.release,
        )


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelCard]


class FeedbackRequest(RequestBody):
    """A judgement of one answer, by the id that came with it."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    rating: Rating
    correction: Annotated[str, Field(min_length=1)] | None = None


class FeedbackAnswer(BaseModel):
    id: str


def desk_of(request: Request) -> Desk:
    """The desk, from start to stop of the server. Raises ApiError (503) before and after."""
    desk: Desk | None = getattr(request.app.state, "desk", None)
    if desk is None or not desk.worker.ready:
        raise not_running()
    return desk


AtDesk = Annotated[Desk, Depends(desk_of)]


async def livez() -> Health:
    """The process answers."""
    return Health()


async def readyz(_desk: AtDesk) -> Health:
    """Requests are taken."""
    return Health()


async def openapi(request: Request) -> JSONResponse:
    app: FastAPI = request.app
    return JSONResponse(app.openapi())


async def list_models(desk: AtDesk) -> ModelList:
    return ModelList(data=[ModelCard.of(model) for model in await desk.models()])


async def retrieve_model(model: str, desk: AtDesk) -> ModelCard:
    return ModelCard.of(await desk.model(model))


async def create_chat_completion(body: ChatRequest, request: Request, desk: AtDesk) -> Response:
    exchange = await desk.ask(body, request.receive)
    if not body.stream:
        answer = await whole_answer(exchange)
        return Response(answer.model_dump_json(), media_type="application/json")
    # The status line waits for the first piece: a request that fails before it gets the status of its failure.
    first = await anext(exchange.events)
    events = server_sent_events(exchange, first, body.include_usage)
    return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)


async def create_feedback(body: FeedbackRequest, desk: AtDesk) -> FeedbackAnswer:
    return FeedbackAnswer(id=await desk.feedback(FeedbackRecord(body.id, body.rating, body.correction)))


def add_routes(app: FastAPI) -> None:
    errors: dict[int | str, dict[str, object]] = {"4XX": {"model": ErrorBody}, "5XX": {"model": ErrorBody}}
    app.add_api_route("/livez", livez, methods=["GET"], responses=errors)
    app.add_api_route("/readyz", readyz, methods=["GET"], responses=errors)
    app.add_api_route("/openapi.json", openapi, methods=["GET"], include_in_schema=False)
    app.add_api_route("/v1/models", list_models, methods=["GET"], responses=errors)
    app.add_api_route("/v1/models/{model:path}", retrieve_model, methods=["GET"], responses=errors)
    app.add_api_route(
        "/v1/chat/completions",
        create_chat_completion,
        methods=["POST"],
        response_model=ChatCompletion,
        responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **errors},
    )
    app.add_api_route("/v1/feedback", create_feedback, methods=["POST"], responses=errors)
