"""One pure function a row format: named fields of a record -> a conversation or a text."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from luthier.core.recipe import RowFormat
from luthier.core.rows import Message
from luthier.data.reasons import Dropped, dropped
from luthier.data.turns import read_transcript, read_turn_list

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Content:
    """A conversation, or plain text where `messages` is empty."""

    messages: tuple[Message, ...] = ()
    text: str = ""


Parsed = Content | Dropped


@dataclass(frozen=True, slots=True)
class Format:
    """How rows of one layout are read. `required` and `optional` are the names `read` knows, each with its aliases."""

    read: Callable[[Fields], Parsed]
    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


def read_messages(fields: Fields) -> Parsed:
    """`messages: [{role, content}]`, also as JSON text in one column of a CSV."""
    return _conversation(fields, read_turn_list(parsed_list(fields.get("messages"))))


def read_sharegpt(fields: Fields) -> Parsed:
    """`conversations: [{from, value}]`, with a `system` prompt beside it or not."""
    return _conversation(fields, read_turn_list(parsed_list(fields.get("conversations"))))


def read_alpaca(fields: Fields) -> Parsed:
    """`instruction`, `input`, `output`, and earlier turns as `history: [[question, answer], …]`."""
    request = "\n".join(part for part in (text_of(fields.get("instruction")), text_of(fields.get("input"))) if part)
    history = parsed_list(fields.get("history")) or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        return dropped("unreadable turn", "history is no list of [question, answer]")
    earlier = [exchange for pair in history for exchange in _exchange(text_of(pair[0]), text_of(pair[1]))]
    return _answered(fields, {"instruction": request, "output": text_of(fields.get("output"))}, earlier)


def read_prompt_completion(fields: Fields) -> Parsed:
    """`prompt` and `completion`."""
    return _answered(fields, {name: text_of(fields.get(name)) for name in ("prompt", "completion")})


def read_question_answer(fields: Fields) -> Parsed:
    """`question` and `answer`."""
    return _answered(fields, {name: text_of(fields.get(name)) for name in ("question", "answer")})


def read_transcript_text(fields: Fields) -> Parsed:
    """One text with a line for each turn: `user: …`, `assistant: …`."""
    text = text_of(fields.get("text"))
    return _conversation(fields, read_transcript(text)) if text else dropped("missing value", "text is empty")


def read_text(fields: Fields) -> Parsed:
    """Plain text, under its title where there is one."""
    text = text_of(fields.get("text"))
    if not text:
        return dropped("missing value", "text is empty")
    title = text_of(fields.get("title"))
    return Content(text=f"{title}\n\n{text}" if title else text)


_SYSTEM = {"system": ("system", "system_prompt")}
FORMATS: Mapping[RowFormat, Format] = {
    "messages": Format(read_messages, {"messages": ("messages", "conversation", "turns", "dialogue", "chat")}, _SYSTEM),
    "sharegpt": Format(read_sharegpt, {"conversations": ("conversations", "conversation")}, _SYSTEM),
    "alpaca": Format(
        read_alpaca,
        {"instruction": ("instruction",), "output": ("output",)},
        {"input": ("input",), "history": ("history",), **_SYSTEM},
    ),
    "prompt_completion": Format(
        read_prompt_completion,
        {"prompt": ("prompt", "body", "message", "request"), "completion": ("completion", "response", "reply")},
        _SYSTEM,
    ),
    "question_answer": Format(read_question_answer, {"question": ("question",), "answer": ("answer",)}, _SYSTEM),
    "transcript": Format(read_transcript_text, {"text": ()}, _SYSTEM),
    "text": Format(read_text, {"text": ("text", "content", "body")}, {"title": ("title", "heading")}),
}
"""In the order in which they are tried when the recipe names none."""


def text_of(value: object) -> str:
    """A field as text without space around it; nothing for null, JSON for lists and objects."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, ensure_ascii=False)


def parsed_list(value: object) -> object:
    """A list that a CSV holds as JSON text; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _exchange(user: str, assistant: str) -> tuple[Message, Message]:
    return Message(role="user", content=user), Message(role="assistant", content=assistant)


def _answered(fields: Fields, exchange: Mapping[str, str], earlier: list[Message] | None = None) -> Parsed:
    """A request and its answer, `exchange` being {name of the request: text, name of the answer: text}."""
    empty = [name for name, text in exchange.items() if not text]
    if empty:
        return Dropped(tuple(f"missing value: {name} is empty" for name in empty))
    return _conversation(fields, (*(earlier or ()), *_exchange(*exchange.values())))


def _conversation(fields: Fields, messages: tuple[Message, ...] | Dropped) -> Parsed:
    system = text_of(fields.get("system"))
    if isinstance(messages, Dropped) or not system:
        return messages if isinstance(messages, Dropped) else Content(messages)
    return Content((Message(role="system", content=system), *messages))
