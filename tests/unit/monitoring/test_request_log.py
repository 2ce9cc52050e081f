from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Row, select

from luthier.core.artefacts import Feedback
from luthier.core.errors import RegistryError, WorkspaceError
from luthier.core.requests import FeedbackRecord, RequestRecord, Sink
from luthier.monitoring import RequestLog
from luthier.store import Store
from luthier.store.artefacts import list_entries
from luthier.store.tables import feedback, requests

MakeRecord = Callable[..., RequestRecord]


def rows(store: Store, table: Any) -> list[Row[Any]]:
    with store.read() as connection:
        return list(connection.execute(select(table)).all())


def test_it_is_a_sink(log: RequestLog) -> None:
    sink: Sink = log
    assert sink is log


def test_a_record_is_stored_whole_and_redacted(log: RequestLog, store: Store, request_record: MakeRecord) -> None:
    log.record(request_record())
    (row,) = rows(store, requests)
    assert row._asdict() == {
        "id": "chatcmpl-1",
        "created": 1000.0,
        "model": "support",
        "run": "run-aaaaaaaaaaaa",
        "release": "release-bbbbbbbbbbbb",
        "messages": [{"role": "user", "content": "I am [EMAIL], where is my order?"}],
        "answer": "I wrote to [EMAIL].",
        "status": 200,
        "finish_reason": "stop",
        "prompt_tokens": 12,
        "completion_tokens": 7,
        "first_token_seconds": 0.25,
        "seconds": 1.5,
    }


def test_nothing_of_what_was_said_reaches_the_disk_unredacted(
    log: RequestLog, store: Store, request_record: MakeRecord, tmp_path: Path
) -> None:
    log.record(request_record())
    log.feedback(FeedbackRecord("chatcmpl-1", "down", "Write to ann@example.com"))
    store.close()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"[EMAIL]" in stored
    assert b"ann@example.com" not in stored


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(alphabet=st.characters(exclude_categories=()) | st.sampled_from("\0\ud800\udfff")))
def test_any_text_that_a_client_can_send_is_kept(store: Store, request_record: MakeRecord, text: str) -> None:
    log = RequestLog(store, redact=str)
    id = f"chatcmpl-{len(rows(store, requests))}"
    log.record(request_record(id, messages=({"role": "user", "content": text},), answer=text, model=text))
    log.feedback(FeedbackRecord(id, "up", text))
    storable = "".join("\ufffd" if char == "\0" or "\ud800" <= char <= "\udfff" else char for char in text)
    row = next(row for row in rows(store, requests) if row.id == id)
    assert (row.messages[0]["content"], row.answer, row.model) == (storable, storable, storable)


def test_the_same_id_twice_is_refused(log: RequestLog, request_record: MakeRecord) -> None:
    log.record(request_record())
    with pytest.raises(RegistryError, match="request chatcmpl-1 is already recorded"):
        log.record(request_record())


def test_many_threads_record_at_once(log: RequestLog, store: Store, request_record: MakeRecord) -> None:
    def answer_and_rate(number: int) -> str:
        log.record(request_record(f"chatcmpl-{number}"))
        return log.feedback(FeedbackRecord(f"chatcmpl-{number}", "up"))

    with ThreadPoolExecutor(16) as pool:
        ids = list(pool.map(answer_and_rate, range(100)))
    assert len(set(ids)) == 100
    assert {row.id for row in rows(store, requests)} == {f"chatcmpl-{number}" for number in range(100)}
    assert {row.id for row in rows(store, feedback)} == set(ids)


def test_feedback_is_a_row_and_an_artefact(log: RequestLog, store: Store, request_record: MakeRecord) -> None:
    log.record(request_record())
    id = log.feedback(FeedbackRecord("chatcmpl-1", "down", "  Write to ann@example.com  "))
    assert id.startswith("feedback-")
    (row,) = rows(store, feedback)
    assert (row.id, row.request_id, row.rating) == (id, "chatcmpl-1", "down")
    assert row.correction == "Write to [EMAIL]"
    with store.read() as connection:
        (entry,) = list_entries(connection)
    assert entry.artefact == Feedback(id=id, summary={"request": "chatcmpl-1", "rating": "down", "corrected": True})


def test_the_same_feedback_again_is_the_same(log: RequestLog, store: Store, request_record: MakeRecord) -> None:
    log.record(request_record())
    first = log.feedback(FeedbackRecord("chatcmpl-1", "up"))
    down = log.feedback(FeedbackRecord("chatcmpl-1", "down"))
    assert log.feedback(FeedbackRecord("chatcmpl-1", "up", " ")) == first != down
    by_time = sorted(rows(store, feedback), key=lambda row: row.created_at)
    assert [row.id for row in by_time] == [down, first]


def test_feedback_needs_a_request(log: RequestLog, store: Store) -> None:
    with pytest.raises(RegistryError, match="there is no request 'chatcmpl-0'"):
        log.feedback(FeedbackRecord("chatcmpl-0", "up"))
    with pytest.raises(RegistryError, match="there is no request"):
        log.feedback(FeedbackRecord("\ud800", "up"))
    assert rows(store, feedback) == []
    with store.read() as connection:
        assert list_entries(connection) == []


def test_a_failing_disk_says_so(log: RequestLog, store: Store, request_record: MakeRecord) -> None:
    with store.write() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(WorkspaceError, match="the disk is full"):
        log.record(request_record(answer="x" * 100_000))
    assert rows(store, requests) == []
