"""Conversations: who speaks in a list of turns or a transcript, and what makes a conversation fit for training."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence

from luthier.core.rows import Message, Role, Row, reworded
from luthier.data.reasons import Dropped, dropped
from luthier.data.tool_calls import CALLING_SPEAKERS, call_ids, read_calls

ROLES: Mapping[str, Role] = {
    **dict.fromkeys(("user", "human", "customer", "client", "visitor"), "user"),
    **dict.fromkeys(("assistant", "agent", "bot", "support", "gpt", "chatgpt", "model", "ai", "advisor"), "assistant"),
    **dict.fromkeys(("function_call", "tool_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "ipython", "tool_response"), "tool"),
}
"""What files call the speakers."""

ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
CONTENT_KEYS = ("content", "value", "utterance", "text", "message", "body")

_SPOKEN = ("user", "human", "customer", "client", "assistant", "agent", "bot", "support", "system", "tool")
_TURN_START = re.compile(
    rf"^[ \t]*(?:\[[^\]\n]{{1,40}}\][ \t]*)?({'|'.join(_SPOKEN)})[ \t]*:[ \t]*", re.IGNORECASE | re.MULTILINE
)
_SILENT = frozenset({"", "none", "null"})


def spoken_texts(row: Row) -> Sequence[str]:
    """What users and assistants say, turn by turn, or the text: no prompts, no answers of tools, nothing rejected."""
    if not row.messages:
        return [row.text]
    return [message["content"] for message in row.messages if message["role"] in ("user", "assistant")]


def read_turn_list(turns: object) -> tuple[Message, ...] | Dropped:
    """Messages out of a list of objects with a speaker and a text. Turns without text or tool calls are left out.

    Where nobody but users and `system` speak, and `system` answers users, `system` is the name of the agent.
    """
    if not isinstance(turns, list):
        return dropped("missing value", "no list of turns")
    messages: list[Message] = []
    tools: dict[str, str] = {}
    for number, turn in enumerate(turns, start=1):
        speaker = _first(turn, ROLE_KEYS) if isinstance(turn, dict) else None
        if not isinstance(speaker, str):
            return dropped("unreadable turn", f"turn {number} names no speaker")
        role = ROLES.get(speaker.strip().lower())
        if role is None:
            return dropped("unknown role", f"{speaker!r} in turn {number}")
        message = _message(turn, speaker.strip().lower(), number, tools)
        if isinstance(message, Dropped):
            return message
        if message is not None:
            messages.append(message)
    return _with_agent(messages)


def _message(turn: Mapping[str, object], speaker: str, number: int, tools: dict[str, str]) -> Message | Dropped | None:
    """One turn, or None if it says nothing. `tools` holds the tools called so far, by id of the call."""
    role = ROLES[speaker]
    calls = read_calls(turn, speaker, number) if role == "assistant" else []
    if isinstance(calls, Dropped):
        return calls
    said = None if calls and speaker in CALLING_SPEAKERS else _first(turn, CONTENT_KEYS)
    content = _content(said)
    if role == "tool" and said and not content:
        content = json.dumps(said, ensure_ascii=False)
    message = Message(role=role, content=content)
    if calls:
        message["tool_calls"] = calls
        tools.update(call_ids(turn))
    elif role == "tool":
        name = turn.get("name") or tools.get(str(turn.get("tool_call_id")))
        if isinstance(name, str):
            message["name"] = name
    return message if content.strip() or calls or role == "tool" else None


def read_transcript(text: str) -> tuple[Message, ...] | Dropped:
    """Messages out of `user: …` and `assistant: …` lines; a turn goes on until the next one starts.

    Turns that say nothing or `None` are left out. Text before the first turn belongs to it.
    """
    parts = _TURN_START.split(text)
    if len(parts) < 3:
        return dropped("no turns", "expected lines such as 'user: …' and 'assistant: …'")
    messages: list[Message] = []
    for number, (speaker, said) in enumerate(zip(parts[1::2], parts[2::2], strict=True)):
        content = f"{parts[0].strip()}\n{said.strip()}".strip() if number == 0 else said.strip()
        if content.lower() not in _SILENT:
            messages.append(Message(role=ROLES[speaker.lower()], content=content))
    return _with_agent(messages)


def settle_conversation(messages: Iterable[Message], system: str = "") -> tuple[Message, ...] | Dropped:
    """Merge turns of one speaker, end with the last assistant turn, and put the recipe's system prompt in front.

    Tool results and turns with tool calls stay apart. A `system` prompt replaces the system turns of the row, which
    stay where it is empty.
    """
    merged = merge_turns(message for message in messages if not (system and message["role"] == "system"))
    while merged and merged[-1]["role"] != "assistant":
        merged.pop()
    roles = {message["role"] for message in merged}
    if "assistant" not in roles:
        return dropped("no assistant turn")
    if "user" not in roles:
        return dropped("no user turn")
    return (Message(role="system", content=system), *merged) if system else tuple(merged)


def merge_turns(messages: Iterable[Message]) -> list[Message]:
    """The messages that say something, those of one speaker that follow each other put together, line below line."""
    merged: list[Message] = []
    for message in messages:
        content = message["content"].strip()
        if _says_nothing(message):
            continue
        if merged and _continues(merged[-1], message):
            content = f"{merged.pop()['content']}\n{content}"
        merged.append(reworded(message, content))
    return merged


def _says_nothing(message: Message) -> bool:
    return not message["content"].strip() and "tool_calls" not in message and message["role"] != "tool"


def _continues(earlier: Message, message: Message) -> bool:
    """Whether two turns are one that was written in two parts."""
    calls = "tool_calls" in earlier or "tool_calls" in message
    return earlier["role"] == message["role"] != "tool" and not calls


def _first(turn: Mapping[str, object], keys: Sequence[str]) -> object:
    return next((turn[key] for key in keys if turn.get(key) is not None), None)


def _content(value: object) -> str:
    """Text as it is; of a list of parts, those that are text; an object as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in value)
        return "\n".join(part for part in parts if isinstance(part, str))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)


def _with_agent(messages: list[Message]) -> tuple[Message, ...]:
    roles = [message["role"] for message in messages]
    if "assistant" in roles or "user" not in roles or "system" not in roles[roles.index("user") :]:
        return tuple(messages)
    start = roles.index("user")
    answers = [
        Message(role="assistant", content=message["content"]) if message["role"] == "system" else message
        for message in messages[start:]
    ]
    return (*messages[:start], *answers)
