from collections.abc import Callable

from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.monitoring import RequestLog, render_traffic, traffic
from luthier.store import Store


def test_no_traffic_says_so(store: Store) -> None:
    assert render_traffic(traffic(store)).startswith("No requests yet.")
    assert render_traffic(traffic(store, since=86_400.0)).startswith("No requests since 1970-01-02 00:00 UTC.")


def test_a_row_for_each_model_and_one_for_all(
    log: RequestLog, store: Store, request_record: Callable[..., RequestRecord]
) -> None:
    log.record(request_record("chatcmpl-1"))
    log.record(request_record("chatcmpl-2", prompt_tokens=2000))
    log.record(request_record("chatcmpl-3", model="base", run="base-c", status=500, first_token_seconds=None))
    log.feedback(FeedbackRecord("chatcmpl-1", "up"))
    log.feedback(FeedbackRecord("chatcmpl-2", "down", "On Monday."))
    heading, _, *table, _, ratings = render_traffic(traffic(store)).splitlines()
    assert heading.startswith("Requests from 1970-01-01 00:16 UTC to 1970-01-01 00:16 UTC")
    assert [" ".join(line.split()) for line in table] == [
        "model answered by requests errors tokens in tokens out latency first token rated",
        "support run-aaaaaaaaaaaa 2 0 2,012 14 1.50 / 1.50 s 0.25 / 0.25 s 1 up, 1 down",
        "base base-c 1 1 12 7 – – –",
        "all 3 1 2,024 21 1.50 / 1.50 s 0.25 / 0.25 s 1 up, 1 down",
    ]
    assert ratings == "2 of 3 answers rated, 50% of them up; 1 corrected."


def test_one_model_needs_no_sum(log: RequestLog, store: Store, request_record: Callable[..., RequestRecord]) -> None:
    log.record(request_record())
    lines = render_traffic(traffic(store)).splitlines()
    assert len(lines) == 6
    assert lines[-1] == "No answer has been rated yet."
