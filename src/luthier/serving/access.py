"""Who may use which route. A route that does not stand here is denied to everyone."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Literal

from fastapi import Request

from luthier.serving.api_error import ApiError
from luthier.serving.loopback import is_loopback

Decision = Literal["loopback"]
"""`loopback`: every client on this machine."""

DECISIONS: Mapping[tuple[str, str], Decision] = MappingProxyType(
    {
        ("GET", "/livez"): "loopback",
        ("GET", "/readyz"): "loopback",
        ("GET", "/openapi.json"): "loopback",
        ("GET", "/v1/models"): "loopback",
        ("GET", "/v1/models/{model:path}"): "loopback",
        ("POST", "/v1/chat/completions"): "loopback",
        ("POST", "/v1/feedback"): "loopback",
    }
)


async def authorise(request: Request) -> None:
    """Raises ApiError (403) unless the table lets this client use this route."""
    decision = DECISIONS.get((request.method, request.scope["route"].path))
    if decision is None:
        raise ApiError(HTTPStatus.FORBIDDEN, "nobody may use this route", code="no_decision")
    if request.client is None or not is_loopback(request.client.host):
        raise ApiError(HTTPStatus.FORBIDDEN, "only clients on this machine are answered", code="loopback_only")
