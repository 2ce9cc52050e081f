"""Threads that read answers from the generator, and the bounded queue of requests in front of them."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

from luthier.core.generation import FinishReason, GenerationEvent, GenerationRequest, Generator, events_of
from luthier.serving.api_error import ApiError, internal_error, not_running, of_generation, queue_full

STOP_SECONDS = 5.0
"""How long a stopping worker waits for the pieces of text that are being generated."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request. Times in seconds since it was asked. Of several answers this is the first, and the
    tokens of all."""

    status: int
    answer: str = ""
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_seconds: float | None = None
    seconds: float = 0.0


class Job:
    """One request on its way through the worker. Made on the event loop that reads its events.

    `on_end` is called exactly once, before the last event or the error is delivered, from any thread.
    """

    def __init__(self, request: GenerationRequest, on_end: Callable[[Outcome], None]) -> None:
        self.request = request
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._deliveries: asyncio.Queue[GenerationEvent | ApiError] = asyncio.Queue()
        self._asked = time.monotonic()
        self._text: list[str] = []
        self._finished: dict[int, GenerationEvent] = {}
        self._first_token_seconds: float | None = None
        self._ending = threading.Lock()
        self._ended = False

    @property
    def ended(self) -> bool:
        return self._ended

    async def events(self) -> AsyncIterator[GenerationEvent]:
        """Pieces of the answers, the last of each with its finish reason. Raises ApiError if the request fails or is
        cancelled."""
        going = self.request.n
        while going:
            delivery = await self._deliveries.get()
            if isinstance(delivery, ApiError):
                raise delivery
            going -= delivery.is_last
            yield delivery

    def take(self, event: GenerationEvent) -> None:
        """Note one event of the generator and hand it on."""
        if event.text:
            if event.choice == 0:
                self._text.append(event.text)
            if self._first_token_seconds is None:
                self._first_token_seconds = self._elapsed()
        if event.is_last:
            self._finished[event.choice] = event
        if len(self._finished) < self.request.n:
            self._deliver(event)
        else:
            self._end(HTTPStatus.OK, event)

    def fail(self, error: ApiError) -> None:
        """End the request with an error, at once, unless it has ended already."""
        self._end(error.status_code, error)

    def _end(self, status: int, delivery: GenerationEvent | ApiError) -> None:
        with self._ending:
            if self._ended:
                return
            self._ended = True
        first = self._finished.get(0)
        self._on_end(
            Outcome(
                status=int(status),
                answer="".join(self._text),
                finish_reason=first.finish_reason if first else None,
                prompt_tokens=first.prompt_tokens if first else 0,
                completion_tokens=sum(event.completion_tokens for event in self._finished.values()),
                first_token_seconds=self._first_token_seconds,
                seconds=self._elapsed(),
            )
        )
        self._deliver(delivery)

    def _deliver(self, delivery: GenerationEvent | ApiError) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliveries.put_nowait, delivery)
        except RuntimeError:
            logger.info("a piece of an answer came after the server had ended")

    def _elapsed(self) -> float:
        return time.monotonic() - self._asked


class GenerationWorker:
    """Runs up to `parallel` jobs at once, each in a thread, from `with` to its end.

    The threads only wait for events: how requests share the machine is the generator's business.
    """

    def __init__(self, generator: Generator, parallel: int, queue_limit: int) -> None:
        self._generator = generator
        self._queue_limit = queue_limit
        self._waiting: deque[Job] = deque()
        self._running: list[Job] = []
        self._open = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"luthier-answers-{number}", daemon=True)
            for number in range(parallel)
        ]

    def __enter__(self) -> Self:
        self._open = True
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._open = False
            self._changed.notify_all()
        self.cancel_all(not_running())
        end = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            logger.warning("the generator did not stop within %g seconds", STOP_SECONDS)

    @property
    def ready(self) -> bool:
        return self._open and all(thread.is_alive() for thread in self._threads)

    def submit(self, job: Job) -> None:
        """Put a job behind those that wait. Raises ApiError: 429 when too many wait, 503 when the worker is stopped."""
        with self._changed:
            if not self.ready:
                raise not_running()
            if len(self._waiting) + len(self._running) >= self._queue_limit + len(self._threads):
                raise queue_full(self._queue_limit)
            self._waiting.append(job)
            self._changed.notify_all()

    def cancel(self, job: Job, error: ApiError) -> None:
        """End a job with `error` now, if it has not ended. The generator is left after the piece in the making."""
        with self._changed:
            if job in self._waiting:
                self._waiting.remove(job)
        job.fail(error)

    def cancel_all(self, error: ApiError) -> None:
        with self._changed:
            jobs = [*self._waiting, *self._running]
        for job in jobs:
            self.cancel(job, error)

    def _work(self) -> None:
        while (job := self._next()) is not None:
            _run(self._generator, job)
            with self._changed:
                self._running.remove(job)

    def _next(self) -> Job | None:
        """The job that has waited longest, None when the worker stops."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            if not self._waiting:
                return None
            self._running.append(self._waiting.popleft())
            return self._running[-1]


def _run(generator: Generator, job: Job) -> None:
    """Generate one answer. Whatever happens, the job ends and the thread goes on."""
    try:
        with closing(events_of(generator, [job.request])) as events:
            for event in events:
                if event.error is not None:
                    job.fail(of_generation(event.error))
                elif not job.ended:
                    job.take(event)
                if job.ended:
                    return
        raise RuntimeError("the generator ended without a finish reason")
    except Exception:
        logger.exception("generation failed")
        job.fail(internal_error())
