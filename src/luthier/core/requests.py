"""What serving reports and monitoring keeps."""

from dataclasses import dataclass
from typing import Protocol

from luthier.core.rows import Message, Rating


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One answered (or failed) request. Times in seconds; `created` in seconds since the epoch, UTC.

    `model` is what the client named; `run` what answered: a run's id, or the base model's; `release` the id of the
    release that the name stood for, None where the client named a run or the base model itself.
    """

    id: str
    created: float
    model: str
    run: str
    release: str | None
    messages: tuple[Message, ...]
    answer: str
    status: int
    finish_reason: str | None
    prompt_tokens: int
    completion_tokens: int
    first_token_seconds: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class FeedbackRecord:
    """A person's judgement of the answer to one request."""

    request_id: str
    rating: Rating
    correction: str | None = None


class Sink(Protocol):
    """Where serving puts what happened. Implemented in monitoring."""

    def record(self, request: RequestRecord) -> None: ...

    def feedback(self, feedback: FeedbackRecord) -> str:
        """Store the judgement and return its id. Raises RegistryError for an unknown request id."""
        ...
