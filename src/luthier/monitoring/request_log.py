"""One redacted record per request, and what people thought of the answer."""

import re
import time
from collections.abc import Callable
from dataclasses import asdict

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from luthier.core.artefacts import Feedback
from luthier.core.characters import LONE_SURROGATE
from luthier.core.errors import RegistryError
from luthier.core.identity import content_id
from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.store import Store
from luthier.store.artefacts import put_artefact
from luthier.store.tables import feedback as feedback_table
from luthier.store.tables import requests

_UNSTORABLE = re.compile(f"\0|{LONE_SURROGATE.pattern}")
"""Characters that JSON can carry and databases cannot: NUL and halves of surrogate pairs."""


class RequestLog:
    """The `Sink` that serving writes to. Safe to call from several threads.

    `redact` masks personal data; nothing that a client or a model said is stored without it.
    """

    def __init__(self, store: Store, redact: Callable[[str], str]) -> None:
        self._store, self._redact = store, redact

    def record(self, request: RequestRecord) -> None:
        """Store a request. Raises RegistryError for an id that is taken, WorkspaceError for a failing disk."""
        row = asdict(request) | {
            "model": _storable(request.model),
            "messages": [
                {"role": message["role"], "content": self._clean(message["content"])} for message in request.messages
            ],
            "answer": self._clean(request.answer),
        }
        try:
            with self._store.write() as connection:
                connection.execute(insert(requests).values(row))
        except IntegrityError as error:
            raise RegistryError(f"request {request.id} is already recorded") from error

    def feedback(self, feedback: FeedbackRecord) -> str:
        """Store a judgement, as a row and as a Feedback artefact, and return its id.

        The same judgement again has the same id, and counts as the latest. An empty correction is none.
        Raises RegistryError for an unknown request.
        """
        request_id = _storable(feedback.request_id)
        correction = self._clean(feedback.correction or "").strip() or None
        content = {"request": request_id, "rating": feedback.rating, "correction": correction}
        artefact = Feedback(
            id=content_id("feedback", content),
            summary={"request": request_id, "rating": feedback.rating, "corrected": correction is not None},
        )
        now = time.time()
        with self._store.write() as connection:
            known = connection.execute(select(requests.c.id).where(requests.c.id == request_id)).first()
            if known is None:
                raise RegistryError(
                    f"there is no request {request_id[:80]!r}", allowed="the id that came with the answer"
                )
            put_artefact(connection, artefact)
            again = update(feedback_table).where(feedback_table.c.id == artefact.id).values(created_at=now)
            if not connection.execute(again).rowcount:
                row = {"id": artefact.id, "request_id": request_id, "rating": feedback.rating}
                connection.execute(insert(feedback_table).values(row | {"correction": correction, "created_at": now}))
        return artefact.id

    def _clean(self, text: str) -> str:
        return _storable(self._redact(text))


def _storable(text: str) -> str:
    return _UNSTORABLE.sub("\ufffd", text)
