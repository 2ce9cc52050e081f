"""Where requests come in: names become models, bodies become jobs, and every job becomes a record."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus

from luthier.core.errors import RegistryError
from luthier.core.generation import GenerationRequest
from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.serving.api_error import CLIENT_CLOSED_REQUEST, ApiError
from luthier.serving.catalogue import Catalogue, ServedModel
from luthier.serving.chat_request import ChatRequest, generation_request
from luthier.serving.exchange import Exchange
from luthier.serving.limits import Limits
from luthier.serving.recorder import Recorder
from luthier.serving.worker import GenerationWorker, Job, Outcome

Receive = Callable[[], Awaitable[Mapping[str, object]]]
"""The next message from a client, as in ASGI."""


class Desk:
    def __init__(
        self, catalogue: Catalogue, worker: GenerationWorker, recorder: Recorder, *, system: str, limits: Limits
    ) -> None:
        self.worker = worker
        self._catalogue = catalogue
        self._recorder = recorder
        self._system = system
        self._limits = limits
        self._watches: set[asyncio.Task[None]] = set()

    async def models(self) -> Sequence[ServedModel]:
        return await asyncio.to_thread(self._catalogue.models)

    async def model(self, name: str) -> ServedModel:
        """What a client means by a name. Raises ApiError (404) with the names there are."""
        models = await self.models()
        for model in models:
            if model.id == name:
                return model
        names = ", ".join(model.id for model in models) or "none"
        raise ApiError(
            HTTPStatus.NOT_FOUND,
            f"there is no model {name!r}; there are: {names}",
            param="model",
            code="model_not_found",
        )

    async def ask(self, body: ChatRequest, receive: Receive) -> Exchange:
        """Put a request into the queue; it is cancelled when its client leaves.

        Raises ApiError: 400 for parameters, 404 for the model, 429 when too many wait, 503 when the server stops.
        """
        model = await self.model(body.model)
        request = generation_request(body, model.generator_model, self._system, self._limits)
        request_id, created = f"chatcmpl-{secrets.token_hex(12)}", time.time()
        record = partial(self._record, request_id, created, model, request)
        job = Job(request, record)
        try:
            self.worker.submit(job)
        except ApiError as error:
            job.fail(error)
            raise
        self._watch(job, receive)
        return Exchange(request_id, int(created), model, job.events())

    async def feedback(self, feedback: FeedbackRecord) -> str:
        """Id of the stored judgement. Raises ApiError (404) for an answer that nobody gave."""
        try:
            return await self._recorder.feedback(feedback)
        except RegistryError as error:
            raise ApiError(HTTPStatus.NOT_FOUND, str(error), param="id", code="request_not_found") from error

    def _record(
        self, request_id: str, created: float, model: ServedModel, request: GenerationRequest, outcome: Outcome
    ) -> None:
        self._recorder.record(
            RequestRecord(
                id=request_id,
                created=created,
                model=model.id,
                run=model.run,
                release=model.release,
                messages=request.messages,
                answer=outcome.answer,
                status=outcome.status,
                finish_reason=outcome.finish_reason,
                prompt_tokens=outcome.prompt_tokens,
                completion_tokens=outcome.completion_tokens,
                first_token_seconds=outcome.first_token_seconds,
                seconds=outcome.seconds,
            )
        )

    def _watch(self, job: Job, receive: Receive) -> None:
        """Cancel the job when its client leaves. Ends with the response, as servers then say `http.disconnect` too."""

        async def cancel_on_disconnect() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.worker.cancel(job, ApiError(CLIENT_CLOSED_REQUEST, "the client left", code="cancelled"))

        watch = asyncio.create_task(cancel_on_disconnect())
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
