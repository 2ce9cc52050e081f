"""Tools as text: a conversation of system, user and assistant turns in which nothing is lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from luthier.models.tool_text import with_tools_as_text

TOOL = {"type": "function", "function": {"name": "track", "parameters": {"type": "object"}}}
CALL = {"type": "function", "function": {"name": "track", "arguments": {"order": "AF-1 ü"}}}
CONVERSATION = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Where is it?"},
    {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL]},
    {"role": "tool", "content": "in Leeds", "name": "track"},
    {"role": "tool", "content": "since noon"},
    {"role": "assistant", "content": "In Leeds."},
]


def test_tools_follow_the_system_prompt():
    [system, *rest] = with_tools_as_text(CONVERSATION, [TOOL])
    assert system["role"] == "system"
    assert system["content"].startswith("Be brief.\n\nYou may call these functions")
    [shown] = [line for line in system["content"].splitlines() if line.startswith('{"type"')]
    assert json.loads(shown) == TOOL
    assert [turn["role"] for turn in rest] == ["user", "assistant", "user", "assistant"]


def test_tools_without_a_system_prompt_open_the_conversation():
    turns = with_tools_as_text(CONVERSATION[1:], [TOOL])
    assert [turn["role"] for turn in turns][:2] == ["system", "user"]
    assert turns[0]["content"].startswith("You may call")


def test_a_later_system_turn_stays_where_it_is():
    turns = with_tools_as_text([*CONVERSATION, {"role": "system", "content": "Now in French."}], [TOOL])
    assert turns[-1] == {"role": "system", "content": "Now in French."}
    assert "French" not in turns[0]["content"]


def test_calls_stand_in_the_assistant_turn():
    call = with_tools_as_text(CONVERSATION, [])[2]
    said, _, rest = call["content"].partition("\n<tool_call>\n")
    assert said == "Let me see."
    assert json.loads(rest.removesuffix("\n</tool_call>")) == CALL["function"]
    assert "ü" in rest


def test_a_call_without_words_is_the_whole_turn():
    [turn] = with_tools_as_text([{"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}], [])
    assert turn["content"].startswith("<tool_call>")
    assert turn["content"].count("<tool_call>") == 2


def test_results_that_follow_each_other_are_one_user_turn():
    result = with_tools_as_text(CONVERSATION, [])[3]
    assert result == {
        "role": "user",
        "content": "<tool_response>\nin Leeds\n</tool_response>\n<tool_response>\nsince noon\n</tool_response>",
    }


@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text(max_size=9)}
        ),
        max_size=6,
    )
)
def test_a_conversation_without_tools_stays_as_it_is(messages):
    assert with_tools_as_text(messages, []) == messages
