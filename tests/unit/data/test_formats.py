import json

import pytest

from luthier.data.formats import FORMATS, Content, Parsed
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
        ("messages", {}, ("missing value: no list of turns",)),
        ("text", {"title": "T"}, ("missing value: text is empty",)),
        ("transcript", {"text": ""}, ("missing value: text is empty",)),
    ],
)
def test_what_is_missing_is_named(name: str, fields: dict[str, object], reasons: tuple[str, ...]) -> None:
    assert FORMATS[name].read(fields) == Dropped(reasons)  # type: ignore[index]
