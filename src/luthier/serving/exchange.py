"""One question and its answer, as routes see them."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from luthier.core.generation import GenerationEvent
from luthier.serving.catalogue import ServedModel


@dataclass(frozen=True, slots=True)
class Exchange:
    """`created` is in seconds since the epoch. `events` raises ApiError when the request fails or is cancelled."""

    id: str
    created: int
    model: ServedModel
    events: AsyncIterator[GenerationEvent]
