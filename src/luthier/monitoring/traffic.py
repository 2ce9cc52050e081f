"""How much was asked, how fast it was answered, and how people rated it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, select

from luthier.store import Store
from luthier.store.tables import feedback, requests

ERROR_STATUS = 400
"""HTTP statuses from here on are errors."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds within which half, and 19 of 20, were done (nearest rank: both are times that were measured)."""

    p50: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Counts over some requests. Times are those of answered requests, None where there is none.

    Each request counts once in `up` or `down`, by its latest rating, and once in `corrections`.
    """

    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    latency: Percentiles | None
    first_token: Percentiles | None
    up: int
    down: int
    corrections: int


@dataclass(frozen=True, slots=True)
class ModelTraffic:
    """The share of one model name, as clients gave it, and of the run that answered."""

    model: str
    run: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Traffic:
    """All requests created at `since` (seconds, UTC; None: ever) or later; models with most requests first."""

    since: float | None
    first: float | None
    last: float | None
    total: Figures
    models: tuple[ModelTraffic, ...]


def traffic(store: Store, since: float | None = None) -> Traffic:
    """Figures of the request log."""
    with store.read() as connection:
        rows = connection.execute(_created_since(_REQUESTS, since).order_by(requests.c.created)).all()
        ratings: dict[str, str] = {}
        corrected = set()
        for row in connection.execute(_created_since(_FEEDBACK, since).order_by(feedback.c.created_at)):
            ratings[row.request_id] = row.rating
            if row.correction is not None:
                corrected.add(row.request_id)
    groups: defaultdict[tuple[str, str], list[Row[Any]]] = defaultdict(list)
    for row in rows:
        groups[row.model, row.run].append(row)
    models = [ModelTraffic(*key, _figures(group, ratings, corrected)) for key, group in groups.items()]
    return Traffic(
        since=since,
        first=rows[0].created if rows else None,
        last=rows[-1].created if rows else None,
        total=_figures(rows, ratings, corrected),
        models=tuple(sorted(models, key=lambda each: (-each.figures.requests, each.model, each.run))),
    )


_REQUESTS = select(
    requests.c.id,
    requests.c.created,
    requests.c.model,
    requests.c.run,
    requests.c.status,
    requests.c.prompt_tokens,
    requests.c.completion_tokens,
    requests.c.first_token_seconds,
    requests.c.seconds,
)
_FEEDBACK = select(feedback.c.request_id, feedback.c.rating, feedback.c.correction).join(
    requests, requests.c.id == feedback.c.request_id
)


def _created_since(query: Select[Any], since: float | None) -> Select[Any]:
    return query if since is None else query.where(requests.c.created >= since)


def _figures(rows: Sequence[Row[Any]], ratings: Mapping[str, str], corrected: set[str]) -> Figures:
    answered = [row for row in rows if row.status < ERROR_STATUS]
    rated = [ratings[row.id] for row in rows if row.id in ratings]
    return Figures(
        requests=len(rows),
        errors=len(rows) - len(answered),
        prompt_tokens=sum(row.prompt_tokens for row in rows),
        completion_tokens=sum(row.completion_tokens for row in rows),
        latency=_percentiles(row.seconds for row in answered),
        first_token=_percentiles(row.first_token_seconds for row in answered if row.first_token_seconds is not None),
        up=rated.count("up"),
        down=rated.count("down"),
        corrections=sum(row.id in corrected for row in rows),
    )


def _percentiles(seconds: Iterable[float]) -> Percentiles | None:
    ordered = sorted(seconds)
    if not ordered:
        return None
    p50, p95 = (ordered[math.ceil(share * len(ordered)) - 1] for share in (0.5, 0.95))
    return Percentiles(p50, p95)
