"""Refuses requests before anything reads them: foreign host names, bodies of the wrong kind or size."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from luthier.serving.api_error import ApiError, error_response
from luthier.serving.loopback import host_of, is_loopback

METHODS_WITH_BODY = ("POST", "PUT", "PATCH")


class Guard:
    """ASGI middleware.

    The Host header must name this machine, or else a web page could reach the server by a name that it points here
    (DNS rebinding). A body must be JSON, which no web page can send elsewhere unasked, and at most `body_bytes` long.
    """

    def __init__(self, app: ASGIApp, body_bytes: int) -> None:
        self._app = app
        self._body_bytes = body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            fault = self._fault(scope["method"], Headers(scope=scope))
            if fault is not None:
                await error_response(fault)(scope, receive, send)
            else:
                await self._app(scope, self._capped(receive), send)

    def _fault(self, method: str, headers: Headers) -> ApiError | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not is_loopback(host_of(hosts[0])):
            return ApiError(
                HTTPStatus.BAD_REQUEST,
                "the Host header must name this machine: localhost, 127.0.0.1 or [::1]",
                code="foreign_host",
            )
        if method in METHODS_WITH_BODY and _media_type(headers) != "application/json":
            return ApiError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be sent as content-type: application/json"
            )
        length = headers.get("content-length", "0")
        return self._too_large() if length.isdecimal() and int(length) > self._body_bytes else None

    def _capped(self, receive: Receive) -> Receive:
        """Also counts bodies that came without a length, or with a wrong one."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._body_bytes:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> ApiError:
        return ApiError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body is above the limit of {self._body_bytes:,} bytes",
            code="body_too_large",
        )


def _media_type(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
