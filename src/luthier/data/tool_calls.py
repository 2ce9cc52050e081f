"""Tool calls and tool schemas in the spellings that files use, read into the one shape that chat templates take."""

import json
from collections.abc import Mapping

from luthier.core.rows import FunctionCall, ToolCall
from luthier.data.reasons import Dropped, dropped

CALLING_SPEAKERS = ("function_call", "tool_call")
"""Speakers of ShareGPT files whose text is a call."""


def read_calls(turn: Mapping[str, object], speaker: str, number: int) -> list[ToolCall] | Dropped:
    """The calls of turn `number`: `tool_calls` and `function_call` as OpenAI writes them, or a whole turn.

    A whole turn is a call where its speaker is one of `CALLING_SPEAKERS`. Arguments may be an object or JSON text.
    """
    found = _decoded(turn.get("tool_calls")) or _decoded(turn.get("function_call"))
    if not found and speaker in CALLING_SPEAKERS:
        found = _decoded(next((turn[key] for key in ("value", "content", "text") if turn.get(key)), None))
        if not isinstance(found, list | dict):
            return dropped("unreadable tool call", f"turn {number} is no JSON object")
    calls: list[ToolCall] = []
    for call in found if isinstance(found, list) else [found] if found else []:
        function = _function(call)
        if function is None:
            return dropped("unreadable tool call", f"turn {number} lacks a name, or arguments by name")
        calls.append(ToolCall(type="function", function=function))
    return calls


def call_ids(turn: Mapping[str, object]) -> dict[str, str]:
    """{id of a call: name of its function} of a turn that `read_calls` could read."""
    calls = _decoded(turn.get("tool_calls"))
    named = [(call, _function(call)) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return {call["id"]: function["name"] for call, function in named if function and isinstance(call.get("id"), str)}


def read_tools(value: object) -> tuple[Mapping[str, object], ...] | Dropped:
    """Schemas of tools, a list or its JSON text, each bare or inside `{"type": "function", "function": …}`."""
    found = _decoded(value)
    if not found:
        return ()
    tools = found if isinstance(found, list) else [found]
    schemas = [tool.get("function", tool) if isinstance(tool, dict) else None for tool in tools]
    if not all(isinstance(schema, dict) and isinstance(schema.get("name"), str) for schema in schemas):
        return dropped("unreadable tools", "expected a list of objects with a name")
    return tuple({"type": "function", "function": schema} for schema in schemas)


def _function(call: object) -> FunctionCall | None:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    arguments = _decoded(function.get("arguments", function.get("parameters"))) or {}
    return FunctionCall(name=function["name"], arguments=arguments) if isinstance(arguments, dict) else None


def _decoded(value: object) -> object:
    """JSON text as its value; other text and other values as they are."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value.strip()
