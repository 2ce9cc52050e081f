import asyncio
import threading

import pytest

from luthier.core.errors import RegistryError
from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.serving.recorder import Recorder


def record(request_id):
    return RequestRecord(request_id, 0.0, "m", "run-1", None, (), "", 200, "stop", 1, 1, 0.1, 0.2)


class SlowSink:
    def __init__(self):
        self.go_on = threading.Event()
        self.calls = []

    def record(self, request):
        self.go_on.wait(10)
        self.calls.append(request.id)

    def feedback(self, feedback):
        self.calls.append(feedback.request_id)
        return "feedback-1"


def test_feedback_never_overtakes_the_record_and_nobody_waits_for_it():
    sink = SlowSink()

    async def scenario():
        with Recorder(sink) as recorder:
            recorder.record(record("a"))
            assert sink.calls == []
            judged = asyncio.create_task(recorder.feedback(FeedbackRecord("b", "up")))
            await asyncio.sleep(0)
            sink.go_on.set()
            return await judged

    assert asyncio.run(scenario()) == "feedback-1"
    assert sink.calls == ["a", "b"]


def test_leaving_waits_for_what_was_handed_over():
    sink = SlowSink()
    with Recorder(sink) as recorder:
        for number in range(5):
            recorder.record(record(str(number)))
        sink.go_on.set()
    assert sink.calls == ["0", "1", "2", "3", "4"]


def test_a_record_after_the_end_is_logged(sink, caplog):
    with Recorder(sink) as recorder:
        pass
    recorder.record(record("late"))
    assert "request late" in caplog.text


def test_feedback_raises_what_the_sink_raises(sink):
    async def scenario():
        with Recorder(sink) as recorder:
            await recorder.feedback(FeedbackRecord("unknown", "up"))

    with pytest.raises(RegistryError, match="unknown"):
        asyncio.run(scenario())
