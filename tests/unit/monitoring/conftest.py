from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from luthier.core.requests import RequestRecord
from luthier.monitoring import RequestLog
from luthier.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "luthier.db") as opened:
        yield opened


@pytest.fixture
def log(store: Store) -> RequestLog:
    return RequestLog(store, redact=lambda text: text.replace("ann@example.com", "[EMAIL]"))


@pytest.fixture
def request_record() -> Callable[..., RequestRecord]:
    """Makes a request that differs from a usual one in what is given."""

    def make(id: str = "chatcmpl-1", **changes: object) -> RequestRecord:
        usual: dict[str, object] = {
            "created": 1000.0,
            "model": "support",
            "run": "run-aaaaaaaaaaaa",
            "release": "release-bbbbbbbbbbbb",
            "messages": ({"role": "user", "content": "I am ann@example.com, where is my order?"},),
            "answer": "I wrote to ann@example.com.",
            "status": 200,
            "finish_reason": "stop",
            "prompt_tokens": 12,
            "completion_tokens": 7,
            "first_token_seconds": 0.25,
            "seconds": 1.5,
        }
        return RequestRecord(id=id, **(usual | changes))  # type: ignore[arg-type]

    return make
