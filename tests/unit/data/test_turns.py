from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.rows import Message
from luthier.data.reasons import Dropped
from luthier.data.turns import read_transcript, read_turn_list, settle_conversation

roles = st.sampled_from(["system", "user", "assistant", "tool"])
conversations = st.lists(st.builds(Message, role=roles, content=st.sampled_from(["a", "b c", "", " "])), max_size=8)


def spoken(messages: tuple[Message, ...] | Dropped) -> list[tuple[str, str]]:
    assert isinstance(messages, tuple)
    return [(message["role"], message["content"]) for message in messages]


def turns(*pairs: tuple[str, str]) -> list[Message]:
    return [Message(role=role, content=content) for role, content in pairs]  # type: ignore[typeddict-item]


def test_turn_lists_of_any_dialect() -> None:
    dialects = [
        [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": None},
            {"role": "assistant", "content": "yo"},
        ],
        [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "yo"}],
        [{"speaker": "USER", "utterance": "hi"}, {"speaker": "SYSTEM", "utterance": "yo"}],
        [{"role": "Customer", "text": "hi"}, {"role": "Agent", "text": "yo"}],
        [
            {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image"}]},
            {"role": "bot", "content": "yo"},
        ],
    ]
    for dialect in dialects:
        assert spoken(read_turn_list(dialect)) == [("user", "hi"), ("assistant", "yo")]


def test_a_system_turn_before_the_user_stays_one() -> None:
    listed = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hi"}]
    assert spoken(read_turn_list(listed)) == [("system", "be kind"), ("user", "hi")]


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        ("text", "missing value: no list of turns"),
        ([{"content": "hi"}], "unreadable turn: turn 1 names no speaker"),
        (["hi"], "unreadable turn: turn 1 names no speaker"),
        ([{"role": "robot overlord", "content": "hi"}], "unknown role: 'robot overlord' in turn 1"),
    ],
)
def test_unreadable_lists_say_why(listed: object, reason: str) -> None:
    assert read_turn_list(listed) == Dropped((reason,))


def test_transcripts_of_several_lines() -> None:
    text = 'user: one\ntwo\n\nthree\nassistant: None\ntool: {"a": 1}\n[10:31] Agent : yes: four\nUSER:\nBot: bye'
    assert spoken(read_transcript(text)) == [
        ("user", "one\ntwo\n\nthree"),
        ("tool", '{"a": 1}'),
        ("assistant", "yes: four"),
        ("assistant", "bye"),
    ]


def test_words_before_the_first_turn_are_not_lost() -> None:
    assert spoken(read_transcript("Chat 17\nuser: hi\nassistant: yo")) == [("user", "Chat 17\nhi"), ("assistant", "yo")]


def test_a_text_without_turns_is_no_transcript() -> None:
    assert read_transcript("Users: none of them") == Dropped(
        ("no turns: expected lines such as 'user: …' and 'assistant: …'",)
    )


def test_settling_merges_cuts_and_replaces_the_system_prompt() -> None:
    messages = turns(
        ("system", "old"),
        ("user", "a"),
        ("system", "note"),
        ("user", "b"),
        ("assistant", "c"),
        ("tool", "x"),
        ("user", "d"),
    )
    assert spoken(settle_conversation(messages, "new")) == [("system", "new"), ("user", "a\nb"), ("assistant", "c")]
    assert spoken(settle_conversation(messages)) == [
        ("system", "old"),
        ("user", "a"),
        ("system", "note"),
        ("user", "b"),
        ("assistant", "c"),
    ]


def test_one_sided_conversations_are_dropped() -> None:
    assert settle_conversation(turns(("user", "a"))) == Dropped(("no assistant turn",))
    assert settle_conversation(turns(("assistant", "a"))) == Dropped(("no user turn",))


@given(conversations, st.sampled_from(["", "prompt"]))
def test_a_settled_conversation_is_fit_for_training(messages: list[Message], system: str) -> None:
    settled = settle_conversation(messages, system)
    if isinstance(settled, Dropped):
        return
    spoken_roles = [message["role"] for message in settled]
    assert spoken_roles[-1] == "assistant"
    assert "user" in spoken_roles
    assert all(one != next_one or one == "tool" for one, next_one in pairwise(spoken_roles))
    assert all(message["content"].strip() or message["role"] == "tool" for message in settled)
    assert not system or (spoken_roles.count("system") == 1 and settled[0]["content"] == system)
