"""Corrected answers: what the next dataset is made of."""

from dataclasses import dataclass

from sqlalchemy import select

from luthier.core.rows import Message
from luthier.store import Store
from luthier.store.tables import feedback, requests


@dataclass(frozen=True, slots=True)
class Correction:
    """A conversation up to the question, and the answer that a person wants to see, both redacted.

    `run` is what gave the answer that was corrected.
    """

    feedback_id: str
    request_id: str
    run: str
    messages: tuple[Message, ...]
    answer: str


def corrections(store: Store) -> list[Correction]:
    """The latest correction of each corrected request, in the order in which they were made."""
    query = (
        select(feedback.c.id, feedback.c.request_id, feedback.c.correction, requests.c.run, requests.c.messages)
        .join(requests, requests.c.id == feedback.c.request_id)
        .where(feedback.c.correction.is_not(None))
        .order_by(feedback.c.created_at, feedback.c.id)
    )
    latest: dict[str, Correction] = {}
    with store.read() as connection:
        for row in connection.execute(query):
            latest.pop(row.request_id, None)
            latest[row.request_id] = Correction(row.id, row.request_id, row.run, tuple(row.messages), row.correction)
    return list(latest.values())
