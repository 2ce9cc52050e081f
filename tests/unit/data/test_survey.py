import json

import pytest

from luthier.core.identity import content_id
from luthier.core.rows import Message, Origin, Row
from luthier.data.ledger import LedgerEntry
from luthier.data.survey import Lengths, Sample, Survey, row_kind


def chat(number: int, *turns: str, **fields: object) -> Row:
    roles = ("user", "assistant")
    messages = tuple(Message(role=roles[place % 2], content=turn) for place, turn in enumerate(turns))
    return Row(content_id("row", number), Origin("a.csv", number), messages, **fields)


def kept(row: Row, original: object = None) -> LedgerEntry:
    return LedgerEntry(row.origin, True, (row.id,), (), json.dumps(original))


def dropped(number: int, *reasons: str) -> LedgerEntry:
    return LedgerEntry(Origin("a.csv", number), False, (), reasons, json.dumps({"body": f"record {number}"}))


def measure(row: Row) -> tuple[int, int]:
    return 10 * len(row.messages), 4


def test_figures_count_what_was_added():
    survey = Survey()
    survey.add(kept(row := chat(1, "Where is it?", "On its way to you.")), [row], "train")
    survey.add(kept(row := chat(2, "What?", "That.", label="other", flags=("toxic: insult",))), [row], "test")
    survey.add(dropped(3, "too short: 1 words", "language: looks like de"), [], None)
    figures = survey.figures(measure)
    assert figures["kinds"] == {"question and answer": 1, "labelled text": 1}
    assert figures["words"]["train"] == {"bars": [["to 8", 1]], "longest": 8}
    assert figures["words"]["validation"] == {"bars": [], "longest": 0}
    assert figures["tokens"] == {"bars": [["to 32", 2]], "longest": 20, "rows": 2, "mean": 20.0, "mean_targets": 4.0}
    assert figures["labels"] == {"test": {"other": 1}}
    assert figures["flags"] == {"toxic": 1}
    assert set(figures["remarks"]) == {"toxic", "too short", "language"}
    assert figures["remarks"]["language"] == [
        {"file": "a.csv", "row": 3, "remark": "language: looks like de", "original": '{"body": "record 3"}'}
    ]
    json.dumps(figures)


def test_rows_that_were_mended_are_shown_beside_their_record():
    survey = Survey()
    same, mended = chat(1, "Hello there", "Hi, how are you?"), chat(2, "Hello there", "Hi, I am well.")
    survey.add(kept(same, {"a": "Hello there", "b": ["Hi, how are you?"]}), [same], "train")
    survey.add(kept(mended, {"a": "Hello there", "b": "<p>Hi, <b>I</b> am well."}), [mended], "train")
    [change] = survey.figures(measure)["changed"]
    assert change["origin"] == ["a.csv", 2]
    assert change["after"] == "Hello there\nHi, I am well."


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (chat(1, "a", "b"), "question and answer"),
        (chat(1, "a", "b", "c", "d"), "conversation"),
        (Row("row-1", Origin("a", 1), text="long text"), "text"),
        (chat(1, "a", label="x"), "labelled text"),
        (chat(1, "a", "b", rating="down"), "rated answer"),
        (chat(1, "a", "b", rejected=(Message(role="assistant", content="c"),)), "preference pair"),
        (chat(1, "a", "b", tools=({"name": "f"},)), "conversation with tools"),
    ],
)
def test_kinds_of_rows(row, kind):
    assert row_kind(row) == kind


def test_a_sample_is_the_same_in_any_order_and_keeps_the_order_added():
    keys = [content_id("row", number) for number in range(200)]
    one, other = Sample(20), Sample(20)
    for key in keys:
        one.add(key, key)
    for key in reversed(keys):
        other.add(key, key)
    assert one.items() == list(reversed(other.items()))
    assert one.items() == sorted(one.items(), key=keys.index)
    assert len(set(one.items())) == 20


def test_memory_does_not_grow_with_the_rows():
    survey = Survey()
    for number in range(5_000):
        survey.add(kept(row := chat(number, "Is it?", "It is.")), [row], "train")
        survey.add(dropped(number, "too short: 1 words"), [], None)
    assert len(survey.sampled_rows()) == 1_000
    figures = survey.figures(measure)
    assert len(figures["remarks"]["too short"]) == 4
    assert figures["words"]["train"]["bars"] == [["to 8", 5_000]]


def test_a_histogram_begins_and_ends_where_there_is_something():
    assert Lengths([9, 100, 9_000]).to_json()["bars"] == [
        ["to 16", 1],
        *[[f"to {limit}", count] for limit, count in ((32, 0), (64, 0), (128, 1), (256, 0), (512, 0))],
        ["to 1,024", 0],
        ["to 2,048", 0],
        ["to 4,096", 0],
        ["to 8,192", 0],
        ["over 8,192", 1],
    ]
