from collections.abc import Callable

from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.monitoring import Correction, RequestLog, corrections
from luthier.store import Store


def test_a_correction_is_the_conversation_and_the_wanted_answer(
    log: RequestLog, store: Store, request_record: Callable[..., RequestRecord]
) -> None:
    assert corrections(store) == []
    log.record(request_record())
    id = log.feedback(FeedbackRecord("chatcmpl-1", "down", "It left on Monday."))
    assert corrections(store) == [
        Correction(
            feedback_id=id,
            request_id="chatcmpl-1",
            run="run-aaaaaaaaaaaa",
            messages=({"role": "user", "content": "I am [EMAIL], where is my order?"},),
            answer="It left on Monday.",
        )
    ]


def test_only_the_latest_correction_of_a_request_counts(
    log: RequestLog, store: Store, request_record: Callable[..., RequestRecord]
) -> None:
    for number in (1, 2, 3):
        log.record(request_record(f"chatcmpl-{number}"))
    log.feedback(FeedbackRecord("chatcmpl-1", "down", "On Monday."))
    log.feedback(FeedbackRecord("chatcmpl-2", "down", "No."))
    log.feedback(FeedbackRecord("chatcmpl-3", "up"))
    log.feedback(FeedbackRecord("chatcmpl-1", "down", "On Tuesday."))
    log.feedback(FeedbackRecord("chatcmpl-1", "down"))
    assert [(each.request_id, each.answer) for each in corrections(store)] == [
        ("chatcmpl-2", "No."),
        ("chatcmpl-1", "On Tuesday."),
    ]
