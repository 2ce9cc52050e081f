from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.monitoring import Percentiles, RequestLog, traffic
from luthier.monitoring.traffic import _percentiles
from luthier.store import Store

MakeRecord = Callable[..., RequestRecord]


@pytest.fixture
def busy(log: RequestLog, store: Store, request_record: MakeRecord) -> Store:
    """Twenty answers of the tuned model in 1 to 20 seconds, one of its errors, and one answer of the base model."""
    for number in range(1, 21):
        log.record(
            request_record(
                f"chatcmpl-{number}",
                created=1000.0 + number,
                seconds=float(number),
                first_token_seconds=number / 10 if number <= 2 else None,
            )
        )
    failed = {"status": 503, "seconds": 0.001, "completion_tokens": 0, "first_token_seconds": None}
    log.record(request_record("chatcmpl-21", created=1021.0, **failed))
    log.record(request_record("chatcmpl-22", created=1022.0, model="base", run="base-cccc", release=None))
    return store


def test_counts_and_percentiles(busy: Store) -> None:
    seen = traffic(busy)
    assert (seen.since, seen.first, seen.last) == (None, 1001.0, 1022.0)
    assert (seen.total.requests, seen.total.errors) == (22, 1)
    assert (seen.total.prompt_tokens, seen.total.completion_tokens) == (22 * 12, 21 * 7)
    tuned, base = seen.models
    assert (tuned.model, tuned.run, tuned.figures.requests) == ("support", "run-aaaaaaaaaaaa", 21)
    assert tuned.figures.latency == Percentiles(10.0, 19.0)
    assert tuned.figures.first_token == Percentiles(0.1, 0.2)
    assert (base.model, base.run, base.figures.requests) == ("base", "base-cccc", 1)
    assert base.figures.latency == Percentiles(1.5, 1.5)


def test_each_request_counts_once_by_its_latest_rating(busy: Store, log: RequestLog) -> None:
    log.feedback(FeedbackRecord("chatcmpl-1", "up"))
    log.feedback(FeedbackRecord("chatcmpl-1", "down", "On Monday."))
    log.feedback(FeedbackRecord("chatcmpl-1", "down", "On Tuesday."))
    log.feedback(FeedbackRecord("chatcmpl-22", "down"))
    log.feedback(FeedbackRecord("chatcmpl-22", "up"))
    total = traffic(busy).total
    assert (total.up, total.down, total.corrections) == (1, 1, 1)
    tuned, base = (each.figures for each in traffic(busy).models)
    assert (tuned.up, tuned.down, tuned.corrections) == (0, 1, 1)
    assert (base.up, base.down, base.corrections) == (1, 0, 0)


def test_only_requests_since_then_count_with_their_ratings(busy: Store, log: RequestLog) -> None:
    log.feedback(FeedbackRecord("chatcmpl-1", "up"))
    log.feedback(FeedbackRecord("chatcmpl-20", "down"))
    seen = traffic(busy, since=1020.0)
    assert (seen.total.requests, seen.total.errors, seen.total.up, seen.total.down) == (3, 1, 0, 1)
    assert (seen.first, seen.last) == (1020.0, 1022.0)


def test_without_requests_there_are_no_times(store: Store) -> None:
    seen = traffic(store)
    assert (seen.first, seen.last, seen.models) == (None, None, ())
    assert (seen.total.requests, seen.total.latency, seen.total.first_token) == (0, None, None)


@given(st.lists(st.floats(0, 1000), min_size=1))
def test_percentiles_cover_their_share_and_were_measured(seconds: list[float]) -> None:
    found = _percentiles(seconds)
    assert found is not None
    for share, value in ((0.5, found.p50), (0.95, found.p95)):
        assert value in seconds
        assert sum(each <= value for each in seconds) >= share * len(seconds)
        assert sum(each < value for each in seconds) < share * len(seconds)
