"""A generator that does what the last message says, a sink and a catalogue in memory, and an app over them."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from luthier.core.errors import DeadlineError, GenerationError, RegistryError, RequestError, TemplateError
from luthier.core.generation import GenerationEvent, GenerationRequest, TokenLogprob
from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.serving import Limits, ServedModel, create_app

SYSTEM = "You are the assistant of a shop."
BASE = ServedModel("org/base", "base", "base-1", None, "org/base", None, 100)
RUN = ServedModel("run-7", "adapter-7", "run-7", None, "org/base", "org/base", 200)
BOT = ServedModel("support-bot", "adapter-7", "run-7", "release-3", "org/base", "run-7", 300)


class FakeGenerator:
    """Says `You said: …` word by word, or does what the last message orders (see `_orders`)."""

    def __init__(self) -> None:
        self.requests: list[GenerationRequest] = []
        self.threads: set[str] = set()
        self.closed = 0
        self.go_on = threading.Event()
        self.started = threading.Semaphore(0)

    @property
    def models(self) -> tuple[str, ...]:
        return ("base", "adapter-7")

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        [request] = requests
        self.requests.append(request)
        self.threads.add(threading.current_thread().name)
        self.started.release()
        try:
            yield from self._answer(request.messages[-1]["content"])
        finally:
            self.closed += 1

    def _answer(self, order: str) -> Iterator[GenerationEvent]:
        match order:
            case "fail":
                raise RuntimeError("inner detail")
            case "fail later":
                yield GenerationEvent(0, "half an ")
                raise RuntimeError("inner detail")
            case "refuse":
                yield GenerationEvent(0, "", error=TemplateError("two user messages in a row"))
            case "too much":
                yield GenerationEvent(0, "", error=RequestError("no room", allowed="5 tokens"))
            case "dawdle":
                yield GenerationEvent(0, "", error=DeadlineError("no answer within 300 seconds"))
            case "break down":
                yield GenerationEvent(0, "half an ")
                yield GenerationEvent(0, "", error=GenerationError("inner detail"))
            case "never finish":
                yield GenerationEvent(0, "half an ")
            case "wait":
                self.go_on.wait(20)
                yield GenerationEvent(0, "waited", "stop", 5, 1)
            case "two answers":
                yield GenerationEvent(
                    0, "Yes", logprobs=(TokenLogprob("Yes", -0.5, (("Yes", -0.5), ("\ufffd", -1.5))),)
                )
                yield GenerationEvent(0, "No", choice=1)
                yield GenerationEvent(0, "", "length", 5, 7, choice=1)
                yield GenerationEvent(0, ".", "stop", 5, 2, logprobs=(TokenLogprob(".", -0.25),))
            case "go on":
                while not self.go_on.wait(0.01):
                    yield GenerationEvent(0, "more ")
                yield GenerationEvent(0, "end", "length", 5, 9)
            case _:
                words = f"You said: {order}".split()
                for word in words[:-1]:
                    yield GenerationEvent(0, f"{word} ")
                yield GenerationEvent(0, "")
                yield GenerationEvent(0, words[-1], "stop", 12, len(words))


class MemorySink:
    def __init__(self) -> None:
        self.records: list[RequestRecord] = []
        self.judgements: list[FeedbackRecord] = []
        self.threads: set[str] = set()
        self.fails = False

    def record(self, request: RequestRecord) -> None:
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise OSError("disk full")
        self.records.append(request)

    def feedback(self, feedback: FeedbackRecord) -> str:
        if feedback.request_id not in {record.id for record in self.records}:
            raise RegistryError(f"no request {feedback.request_id}")
        self.judgements.append(feedback)
        return f"feedback-{len(self.judgements)}"

    def wait_for(self, count: int) -> list[RequestRecord]:
        """The records, as soon as there are `count`."""
        wait_until(lambda: len(self.records) >= count)
        return self.records


class MemoryCatalogue:
    def __init__(self) -> None:
        self.offered = [BASE, RUN, BOT]
        self.fails = False

    def models(self) -> Sequence[ServedModel]:
        if self.fails:
            raise OSError("database is gone")
        return list(self.offered)


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@pytest.fixture(name="wait_until")
def _wait_until() -> Callable[[Callable[[], bool]], None]:
    return wait_until


@pytest.fixture
def generator() -> Iterator[FakeGenerator]:
    fake = FakeGenerator()
    yield fake
    fake.go_on.set()


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def catalogue() -> MemoryCatalogue:
    return MemoryCatalogue()


@pytest.fixture
def app(generator: FakeGenerator, sink: MemorySink, catalogue: MemoryCatalogue) -> FastAPI:
    return create_app(generator, catalogue, sink, Limits(64, parallel=1, queue=2, body_bytes=10_000), system=SYSTEM)


@pytest.fixture
def client(app: FastAPI, generator: FakeGenerator) -> Iterator[TestClient]:
    with TestClient(
        app, base_url="http://127.0.0.1:8000", client=("127.0.0.1", 50000), raise_server_exceptions=False
    ) as test_client:
        yield test_client
        generator.go_on.set()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[TestClient]:
    """One app for all examples of a property test."""
    application = create_app(FakeGenerator(), MemoryCatalogue(), MemorySink(), Limits(max_new_tokens=64))
    with TestClient(
        application, base_url="http://localhost", client=("127.0.0.1", 50000), raise_server_exceptions=False
    ) as test_client:
        yield test_client
