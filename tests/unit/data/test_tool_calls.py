"""Tool calls in every spelling, on their way from a list of turns to a settled conversation."""

import json

import pytest

from luthier.core.rows import Message, ToolCall
from luthier.data.reasons import Dropped
from luthier.data.tool_calls import read_tools
from luthier.data.turns import read_turn_list, settle_conversation

CALL: ToolCall = {"type": "function", "function": {"name": "find", "arguments": {"order": 7}}}
OTHER: ToolCall = {"type": "function", "function": {"name": "ping", "arguments": {}}}
CALLING: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
FUNCTION = {"name": "find", "arguments": {"order": 7}}


@pytest.mark.parametrize(
    "turn",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": FUNCTION}]},
        {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": '{"order": 7}'}}]},
        {"role": "assistant", "content": "", "tool_calls": json.dumps([FUNCTION])},
        {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": '{"order": 7}'}},
        {"from": "function_call", "value": json.dumps(FUNCTION)},
        {"from": "function_call", "value": json.dumps([{"name": "find", "parameters": {"order": 7}}])},
    ],
)
def test_every_spelling_of_a_call_reads_the_same(turn: dict[str, object]) -> None:
    assert read_turn_list([turn]) == (CALLING,)


def test_results_know_the_tool_that_gave_them() -> None:
    calls = [{"id": "c1", "function": {"name": "find"}}, {"id": "c2", "function": {"name": "ping"}}]
    messages = read_turn_list(
        [
            {"role": "assistant", "content": "Let me look.", "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c2", "content": {"ok": True}},
            {"role": "tool", "name": "find", "content": [{"order": 7}]},
            {"from": "observation", "value": ""},
        ]
    )
    assert isinstance(messages, tuple)
    assert [call["function"]["name"] for call in messages[0]["tool_calls"]] == ["find", "ping"]
    assert messages[1:] == (
        {"role": "tool", "content": '{"ok": true}', "name": "ping"},
        {"role": "tool", "content": '[{"order": 7}]', "name": "find"},
        {"role": "tool", "content": ""},
    )


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        ({"from": "function_call", "value": "find order 7"}, "turn 1 is no JSON object"),
        ({"from": "function_call"}, "turn 1 is no JSON object"),
        ({"from": "function_call", "value": '{"order": 7}'}, "turn 1 lacks a name, or arguments by name"),
        ({"role": "assistant", "tool_calls": [FUNCTION, {}]}, "turn 1 lacks a name, or arguments by name"),
        ({"role": "assistant", "tool_calls": "find"}, "turn 1 lacks a name, or arguments by name"),
        (
            {"role": "assistant", "function_call": {"name": "find", "arguments": "order 7"}},
            "turn 1 lacks a name, or arguments by name",
        ),
        (
            {"role": "assistant", "function_call": {"name": "find", "arguments": [7]}},
            "turn 1 lacks a name, or arguments by name",
        ),
    ],
)
def test_calls_that_cannot_be_read_say_where(turn: dict[str, object], reason: str) -> None:
    assert read_turn_list([turn]) == Dropped((f"unreadable tool call: {reason}",))


def test_settling_keeps_calls_and_results_apart() -> None:
    ask: Message = {"role": "user", "content": "Where is it?"}
    again: Message = {"role": "assistant", "content": " One moment. ", "tool_calls": [OTHER]}
    result: Message = {"role": "tool", "content": "7", "name": "find"}
    answer: Message = {"role": "assistant", "content": "Here."}
    settled = settle_conversation((ask, ask, CALLING, again, result, result, answer, answer, result))
    assert settled == (
        {"role": "user", "content": "Where is it?\nWhere is it?"},
        CALLING,
        {"role": "assistant", "content": "One moment.", "tool_calls": [OTHER]},
        result,
        result,
        {"role": "assistant", "content": "Here.\nHere."},
    )
    assert settle_conversation((ask, CALLING)) == (ask, CALLING)


def test_tools_may_be_bare_or_wrapped_or_json_text() -> None:
    schema = {"name": "find", "description": "an order"}
    wrapped = {"type": "function", "function": schema}
    assert read_tools([schema, wrapped]) == (wrapped, wrapped)
    assert read_tools(json.dumps([schema])) == read_tools(schema) == (wrapped,)
    for nothing in (None, "", "[]", []):
        assert read_tools(nothing) == ()
    for wrong in ("find", [1], [{"description": "no name"}], 3):
        assert isinstance(read_tools(wrong), Dropped)
