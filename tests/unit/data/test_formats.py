import json

import pytest

from luthier.data.content import Content, Parsed
from luthier.data.formats import FORMATS
from luthier.data.reasons import Dropped

ASKED = [("user", "Q"), ("assistant", "A")]
TURNS = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]


def said(parsed: Parsed) -> list[tuple[str, str]]:
    assert isinstance(parsed, Content)
    return [(message["role"], message["content"]) for message in parsed.messages]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("messages", {"messages": TURNS}),
        ("messages", {"messages": json.dumps(TURNS)}),
        ("sharegpt", {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}),
        ("alpaca", {"instruction": "Q", "input": "", "output": "A"}),
        ("prompt_completion", {"prompt": " Q ", "completion": "A"}),
        ("prompt_completion", {"prompt": TURNS[:1], "completion": json.dumps(TURNS[1:])}),
        ("thumbs", {"messages": TURNS, "label": True}),
        ("thumbs", {"prompt": "Q", "completion": "A", "label": "down"}),
        ("thumbs", {"instruction": "Q", "output": "A", "label": None}),
        ("preference", {"prompt": "Q", "chosen": "A", "rejected": "B"}),
        ("preference", {"instruction": "Q", "chosen": "A", "rejected": "B"}),
        ("question_answer", {"question": "Q", "answer": "A"}),
        ("transcript", {"text": "user: Q\nassistant: A"}),
    ],
)
def test_every_chat_format_reads_the_same_conversation(name: str, fields: dict[str, object]) -> None:
    read = FORMATS[name].read  # type: ignore[index]
    assert said(read(fields)) == ASKED
    assert said(read({**fields, "system": "S"})) == [("system", "S"), *ASKED]


def test_alpaca_joins_input_and_history() -> None:
    fields = {"instruction": "Sum", "input": "1 2", "output": 3, "history": [["before", "then"]]}
    assert said(FORMATS["alpaca"].read(fields)) == [
        ("user", "before"),
        ("assistant", "then"),
        ("user", "Sum\n1 2"),
        ("assistant", "3"),
    ]


def test_text_comes_under_its_title() -> None:
    read = FORMATS["text"].read
    assert read({"title": "Shop > Returns", "text": "Thirty days."}) == Content(text="Shop > Returns\n\nThirty days.")
    assert read({"text": "Thirty days."}) == Content(text="Thirty days.")


@pytest.mark.parametrize(
    ("name", "fields", "reasons"),
    [
        (
            "prompt_completion",
            {"prompt": " "},
            ("missing value: prompt is empty", "missing value: completion is empty"),
        ),
        ("question_answer", {"question": "Q", "answer": None}, ("missing value: answer is empty",)),
        ("alpaca", {"instruction": "Q"}, ("missing value: output is empty",)),
        (
            "alpaca",
            {"instruction": "Q", "output": "A", "history": [["one"]]},
            ("unreadable turn: history is no list of [question, answer]",),
        ),
        ("messages", {}, ("missing value: messages is empty",)),
        ("messages", {"messages": "hi"}, ("missing value: no list of turns",)),
        ("text", {"title": "T"}, ("missing value: text is empty",)),
        ("transcript", {"text": ""}, ("missing value: text is empty",)),
    ],
)
def test_what_is_missing_is_named(name: str, fields: dict[str, object], reasons: tuple[str, ...]) -> None:
    assert FORMATS[name].read(fields) == Dropped(reasons)  # type: ignore[index]


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "Q", "chosen": "A", "rejected": "B"},
        {"prompt": TURNS[:1], "chosen": TURNS[1:], "rejected": [{"role": "assistant", "content": "B"}]},
        {"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "B"}], "messages": TURNS},
        {"messages": [{"from": "human", "value": "Q"}], "chosen": {"from": "gpt", "value": "A"}, "rejected": "B"},
        {"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"},
        {"prompt": "Q", "chosen": json.dumps(TURNS), "rejected": json.dumps([TURNS[0], {"role": "bot", "text": "B"}])},
    ],
)
def test_every_spelling_of_a_preference_pair_reads_the_same(fields: dict[str, object]) -> None:
    parsed = FORMATS["preference"].read(fields)
    assert said(parsed) == ASKED
    assert isinstance(parsed, Content)
    assert parsed.rejected == ({"role": "assistant", "content": "B"},)


def test_answers_that_look_like_transcripts_are_answers() -> None:
    parsed = FORMATS["preference"].read({"prompt": "Q", "chosen": "User: a\nBot: b", "rejected": "B"})
    assert said(parsed) == [("user", "Q"), ("assistant", "User: a\nBot: b")]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"chosen": "A"}, "missing value: rejected is empty"),
        ({"chosen": "A", "rejected": "B"}, "missing value: prompt is empty"),
        ({"prompt": "Q", "chosen": "A", "rejected": " A"}, "no preference: chosen and rejected are the same"),
        (
            {"chosen": TURNS, "rejected": [{"role": "user", "content": "other"}, TURNS[1]]},
            "unreadable pair: chosen and rejected part before the last turn",
        ),
        ({"chosen": TURNS[:1], "rejected": TURNS}, "unreadable pair: chosen or rejected does not end with an answer"),
        ({"prompt": [{"role": "user"}], "chosen": "A", "rejected": "B"}, "missing value: a list of turns says nothing"),
        (
            {"prompt": "Q", "chosen": {"role": "pope", "content": "x"}, "rejected": "B"},
            "unknown role: 'pope' in turn 1",
        ),
    ],
)
def test_pairs_that_tell_nothing_are_refused(fields: dict[str, object], reason: str) -> None:
    assert FORMATS["preference"].read(fields) == Dropped((reason,))


@pytest.mark.parametrize(
    ("label", "rating"),
    [(True, "up"), (1, "up"), ("Up", "up"), ("1", "up"), (False, "down"), ("👎", "down"), (None, None)],
)
def test_thumbs_are_ratings(label: object, rating: str | None) -> None:
    parsed = FORMATS["thumbs"].read({"messages": TURNS, "label": label})
    assert isinstance(parsed, Content)
    assert (parsed.rating, parsed.label) == (rating, None)


def test_a_thumb_that_is_none_is_refused() -> None:
    parsed = FORMATS["thumbs"].read({"messages": TURNS, "label": "maybe"})
    assert parsed == Dropped(("unreadable rating: 'maybe', expected such as true and false, or up and down",))


def test_labels_are_text() -> None:
    read = FORMATS["labelled"].read
    assert read({"text": "words", "label": 3}) == Content(text="words", label="3")
    assert read({"title": "T", "text": "words", "label": " a "}) == Content(text="T\n\nwords", label="a")
    assert read({"label": ""}) == Dropped(("missing value: text is empty", "missing value: label is empty"))


def test_tools_stand_beside_a_conversation() -> None:
    parsed = FORMATS["sharegpt"].read({"conversations": TURNS, "tools": '[{"name": "find", "parameters": {}}]'})
    assert isinstance(parsed, Content)
    assert parsed.tools == ({"type": "function", "function": {"name": "find", "parameters": {}}},)
    refused = FORMATS["messages"].read({"messages": TURNS, "tools": "find, cancel"})
    assert refused == Dropped(("unreadable tools: expected a list of objects with a name",))
