"""Tools, calls and results as plain text, for chat templates that have no words of their own for them.

Tools stand in the system prompt, calls in the assistant's turn and results in the user's turn, inside the tags `tools`,
`tool_call` and `tool_response`, as the Hermes and Qwen models write them.
"""

import json
from collections.abc import Mapping, Sequence

from luthier.core.rows import Message, ToolCall, reworded

_INSTRUCTIONS = (
    "You may call these functions, given as JSON schemas:\n<tools>\n{tools}\n</tools>\n"
    "To call one, write its name and its arguments as JSON:\n"
    '<tool_call>\n{{"name": "…", "arguments": {{…}}}}\n</tool_call>'
)


def with_tools_as_text(messages: Sequence[Message], tools: Sequence[Mapping[str, object]]) -> list[Message]:
    """The conversation in system, user and assistant turns that hold nothing but text."""
    turns: list[Message] = []
    if tools:
        turns.append(Message(role="system", content=_INSTRUCTIONS.format(tools="\n".join(map(_json, tools)))))
    for message in messages:
        content = message["content"]
        if message["role"] == "system" and tools and len(turns) == 1:
            turns[0] = reworded(turns[0], f"{content}\n\n{turns[0]['content']}".strip())
        elif message["role"] == "tool":
            result = f"<tool_response>\n{content}\n</tool_response>"
            if turns and turns[-1]["role"] == "user":
                result = f"{turns.pop()['content']}\n{result}"
            turns.append(Message(role="user", content=result))
        else:
            parts = [content, *(_call_text(call) for call in message.get("tool_calls", ()))]
            turns.append(Message(role=message["role"], content="\n".join(part for part in parts if part)))
    return turns


def _call_text(call: ToolCall) -> str:
    return f"<tool_call>\n{_json(call['function'])}\n</tool_call>"


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)
