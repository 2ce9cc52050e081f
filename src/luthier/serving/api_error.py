"""Every error that a client can meet, in the shape that clients of the OpenAI API read."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from luthier.core.errors import DeadlineError, LuthierError, ModelError, RequestError, TemplateError

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS = 2
CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left before its answer; it stands in records, no client ever sees it."""


class ErrorDetail(BaseModel):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


class ErrorBody(BaseModel):
    """What the body of every response of 400 and above holds, and an event of a stream that fails."""

    error: ErrorDetail


class ApiError(HTTPException):
    """A refusal: what is wrong, in which parameter, and what is allowed."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status, message, headers)
        self.body = ErrorBody(error=ErrorDetail(message=message, type=_type_of(status), param=param, code=code))


def queue_full(waiting: int) -> ApiError:
    return ApiError(
        HTTPStatus.TOO_MANY_REQUESTS,
        f"{waiting} requests are waiting already, which is the limit; try again in {RETRY_AFTER_SECONDS} seconds",
        code="queue_full",
        headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    )


def not_running() -> ApiError:
    return ApiError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the server is starting or stopping",
        code="not_running",
        headers={"retry-after": str(RETRY_AFTER_SECONDS)},
    )


def of_generation(error: LuthierError) -> ApiError:
    """What the generator says of one request: what the client can mend is a 400, a model that cannot answer 503, a
    deadline 504, the rest a 500. What is wrong with a model names files of this machine, so that it is for the log."""
    if isinstance(error, TemplateError):
        return ApiError(HTTPStatus.BAD_REQUEST, str(error), param="messages", code="invalid_messages")
    if isinstance(error, RequestError):
        return ApiError(HTTPStatus.BAD_REQUEST, str(error), code="invalid_value")
    if isinstance(error, DeadlineError):
        return ApiError(HTTPStatus.GATEWAY_TIMEOUT, str(error), code="timeout")
    logger.error("a request failed: %s", error)
    if isinstance(error, ModelError):
        return ApiError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "this model cannot answer; the server's log says why",
            param="model",
            code="model_unavailable",
        )
    return internal_error()


def internal_error() -> ApiError:
    """Says nothing of what happened: that stands in the server's log."""
    return ApiError(
        HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed on this request; its log says why", code="internal_error"
    )


def error_json(error: ApiError) -> str:
    """The body as ASCII JSON, whatever a client put into the names that it echoes."""
    return json.dumps(error.body.model_dump())


def error_response(error: ApiError) -> Response:
    return Response(error_json(error), error.status_code, error.headers, media_type="application/json")


def add_error_handlers(app: FastAPI) -> None:
    """Answer every kind of error in the one shape."""
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(Exception, _on_bug)


def _type_of(status: int) -> str:
    """OpenAI's words for classes of errors."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    if status == HTTPStatus.FORBIDDEN:
        return "permission_error"
    return "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"


def _on_http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, ApiError):
        return error_response(error)
    assert isinstance(error, HTTPException)
    messages: Mapping[int, str] = {
        HTTPStatus.BAD_REQUEST: "the body cannot be read as JSON",
        HTTPStatus.NOT_FOUND: f"there is nothing at {request.url.path}",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.url.path} does not take {request.method}",
    }
    message = messages.get(error.status_code, error.detail)
    return error_response(ApiError(error.status_code, message, headers=error.headers))


def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return error_response(_explain(error.errors()[0]))


def _on_bug(_request: Request, _error: Exception) -> Response:
    return error_response(internal_error())


def _explain(fault: Mapping[str, object]) -> ApiError:
    """The first fault that validation found, as a 400 that names the parameter."""
    location, kind, message = fault["loc"], str(fault["type"]), str(fault["msg"])
    assert isinstance(location, Sequence)
    if kind == "json_invalid":
        return ApiError(HTTPStatus.BAD_REQUEST, f"the body is not valid JSON, at character {location[-1]}")
    param = _path(location[1:])
    if not param:
        return ApiError(HTTPStatus.BAD_REQUEST, "the body must be a JSON object")
    if kind == "missing":
        return ApiError(HTTPStatus.BAD_REQUEST, f"{param} is missing", param=param, code="missing_required_parameter")
    if kind == "extra_forbidden":
        return ApiError(
            HTTPStatus.BAD_REQUEST,
            f"{param} is not supported; leave it out",
            param=param,
            code="unsupported_parameter",
        )
    sentence = message.removeprefix("Value error, ")
    return ApiError(
        HTTPStatus.BAD_REQUEST, f"{param}: {sentence[:1].lower()}{sentence[1:]}", param=param, code="invalid_value"
    )


def _path(location: Sequence[object]) -> str:
    """`("messages", 0, "content")` as `messages[0].content`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")
