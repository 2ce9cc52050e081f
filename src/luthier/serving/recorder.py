"""Hands records and feedback to the sink, in order, in a thread of its own."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Self

from luthier.core.requests import FeedbackRecord, RequestRecord, Sink

logger = logging.getLogger(__name__)


class Recorder:
    """One thread for all calls, so that feedback on an answer never overtakes its record."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="luthier-sink")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Returns when all that was handed over is with the sink."""
        self._thread.shutdown()

    def record(self, record: RequestRecord) -> None:
        """Hand over a record without waiting. A sink that fails is logged: the answer does not depend on it."""
        try:
            self._thread.submit(self._record, record)
        except RuntimeError:
            logger.error("request %s ended after the server and has no record", record.id)

    async def feedback(self, feedback: FeedbackRecord) -> str:
        """Id of the stored judgement. Raises what the sink raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._sink.feedback, feedback)

    def _record(self, record: RequestRecord) -> None:
        try:
            self._sink.record(record)
        except Exception:
            logger.exception("request %s could not be recorded", record.id)
