"""Conversations: who speaks in a list of turns or a transcript, and what makes a conversation fit for training."""

import re
from collections.abc import Iterable, Mapping, Sequence

from luthier.core.rows import Message, Role
from luthier.data.reasons import Dropped, dropped

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


def read_turn_list(turns: object) -> tuple[Message, ...] | Dropped:
    """Messages out of a list of objects with a speaker and a text. Turns without text are left out.

    Where nobody but users and `system` speak, and `system` answers users, `system` is the name of the agent.
    """
    if not isinstance(turns, list):
        return dropped("missing value", "no list of turns")
    messages: list[Message] = []
    for number, turn in enumerate(turns, start=1):
        speaker = _first(turn, ROLE_KEYS) if isinstance(turn, dict) else None
        if not isinstance(speaker, str):
            return dropped("unreadable turn", f"turn {number} names no speaker")
        role = ROLES.get(speaker.strip().lower())
        if role is None:
            return dropped("unknown role", f"{speaker!r} in turn {number}")
        content = _content(_first(turn, CONTENT_KEYS))
        if content.strip():
            messages.append(Message(role=role, content=content))
    return _with_agent(messages)


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

    A `system` prompt replaces the system turns of the row, which stay where it is empty.
    """
    merged: list[Message] = []
    for message in messages:
        content = message["content"].strip()
        if not content or (system and message["role"] == "system"):
            continue
        if merged and merged[-1]["role"] == message["role"]:
            content = f"{merged.pop()['content']}\n{content}"
        merged.append(Message(role=message["role"], content=content))
    while merged and merged[-1]["role"] != "assistant":
        merged.pop()
    roles = {message["role"] for message in merged}
    if "assistant" not in roles:
        return dropped("no assistant turn")
    if "user" not in roles:
        return dropped("no user turn")
    return (Message(role="system", content=system), *merged) if system else tuple(merged)


def _first(turn: Mapping[str, object], keys: Sequence[str]) -> object:
    return next((turn[key] for key in keys if turn.get(key) is not None), None)


def _content(value: object) -> str:
    """Text as it is; of a list of parts, those that are text."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        parts = (part.get("text") if isinstance(part, dict) else part for part in value)
        return "\n".join(part for part in parts if isinstance(part, str))
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
