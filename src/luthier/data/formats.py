"""One pure function a row format: named fields of a record -> a conversation or a text."""

from collections.abc import Mapping
from dataclasses import replace

from luthier.core.recipe import RowFormat
from luthier.core.rows import Message, Rating, Role
from luthier.data.content import Content, Fields, Format, Parsed, parsed_list, text_of
from luthier.data.helpdesk import HELPDESK_FORMATS
from luthier.data.reasons import Dropped, dropped
from luthier.data.tool_calls import read_tools
from luthier.data.turns import read_transcript, read_turn_list


def read_preference(fields: Fields) -> Parsed:
    """`chosen` and `rejected`: the last turn of a conversation in two versions.

    Each is a text, a turn or a list of turns. What comes before it is in the list itself, in `prompt`, in `messages` or
    `conversations`, in `instruction` and `input`, or, where both are transcripts, in their text.
    """
    if empty := [name for name in ("chosen", "rejected") if not text_of(fields.get(name))]:
        return _missing(empty)
    earlier = _before_answers(fields)
    if isinstance(earlier, Dropped):
        return earlier
    chosen, rejected = (_answer(fields[name], alone=not earlier) for name in ("chosen", "rejected"))
    if isinstance(chosen, Dropped):
        return chosen
    if isinstance(rejected, Dropped):
        return rejected
    if chosen[0]["role"] == "assistant":
        if not earlier:
            return _missing(["prompt"])
        chosen, rejected = (*earlier, *chosen), (*earlier, *rejected)
    *before, answer = chosen
    if answer["role"] != "assistant" or rejected[-1]["role"] != "assistant":
        return dropped("unreadable pair", "chosen or rejected does not end with an answer")
    if [*rejected[: len(before)]] != before or len(rejected) == len(before):
        return dropped("unreadable pair", "chosen and rejected part before the last turn")
    if rejected == chosen:
        return dropped("no preference", "chosen and rejected are the same")
    parsed = _conversation(fields, chosen)
    return parsed if isinstance(parsed, Dropped) else replace(parsed, rejected=rejected[len(before) :])


def read_thumbs(fields: Fields) -> Parsed:
    """A conversation in any of the chat formats, with a `label` that says whether people liked its last answer."""
    said = {name: value for name, value in fields.items() if name != "label"}
    if fields.get("messages") is not None:
        parsed = read_messages(said)
    elif fields.get("instruction") is not None:
        parsed = read_alpaca(said)
    else:
        parsed = read_prompt_completion(said)
    label = fields.get("label")
    rating = rating_of(label)
    if isinstance(parsed, Dropped):
        return parsed
    if rating is None and text_of(label):
        return dropped("unreadable rating", f"{text_of(label)!r}, expected such as true and false, or up and down")
    return replace(parsed, rating=rating)


def read_messages(fields: Fields) -> Parsed:
    """`messages: [{role, content}]`, also as JSON text in one column of a CSV."""
    return _turn_list(fields, "messages")


def read_sharegpt(fields: Fields) -> Parsed:
    """`conversations: [{from, value}]`, with a `system` prompt beside it or not."""
    return _turn_list(fields, "conversations")


def read_alpaca(fields: Fields) -> Parsed:
    """`instruction`, `input`, `output`, and earlier turns as `history: [[question, answer], …]`."""
    history = parsed_list(fields.get("history")) or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        return dropped("unreadable turn", "history is no list of [question, answer]")
    earlier = [exchange for pair in history for exchange in _exchange(text_of(pair[0]), text_of(pair[1]))]
    return _answered(fields, {"instruction": _instruction(fields), "output": text_of(fields.get("output"))}, earlier)


def read_prompt_completion(fields: Fields) -> Parsed:
    """`prompt` and `completion`, each a text or a list of turns."""
    if not _is_turns(fields.get("prompt")) and not _is_turns(fields.get("completion")):
        return _answered(fields, {name: text_of(fields.get(name)) for name in ("prompt", "completion")})
    if empty := [name for name in ("prompt", "completion") if not text_of(fields.get(name))]:
        return _missing(empty)
    prompt, completion = _side(fields["prompt"], "user"), _side(fields["completion"], "assistant")
    if isinstance(prompt, Dropped):
        return prompt
    if isinstance(completion, Dropped):
        return completion
    return _conversation(fields, (*prompt, *completion))


def read_question_answer(fields: Fields) -> Parsed:
    """`question` and `answer`."""
    return _answered(fields, {name: text_of(fields.get(name)) for name in ("question", "answer")})


def read_transcript_text(fields: Fields) -> Parsed:
    """One text with a line for each turn: `user: …`, `assistant: …`."""
    text = text_of(fields.get("text"))
    return _conversation(fields, read_transcript(text)) if text else _missing(["text"])


def read_labelled(fields: Fields) -> Parsed:
    """A `text`, under its title where there is one, and its class."""
    label = text_of(fields.get("label"))
    parsed = read_text(fields)
    if isinstance(parsed, Dropped) or not label:
        reasons = parsed.reasons if isinstance(parsed, Dropped) else ()
        return Dropped((*reasons, *(() if label else _missing(["label"]).reasons)))
    return replace(parsed, label=label)


def read_text(fields: Fields) -> Parsed:
    """Plain text, under its title where there is one."""
    text = text_of(fields.get("text"))
    if not text:
        return _missing(["text"])
    title = text_of(fields.get("title"))
    return Content(text=f"{title}\n\n{text}" if title else text)


_SYSTEM = {"system": ("system", "system_prompt")}
_TURNS = {**_SYSTEM, "tools": ("tools", "functions"), "label": ("label",)}
_TURN_LISTS = ("messages", "conversations", "conversation", "turns", "dialogue", "chat")
_PAIR = {"prompt": ("prompt",), "instruction": ("instruction",), "input": ("input",)}
FORMATS: Mapping[RowFormat, Format] = {
    **HELPDESK_FORMATS,
    "preference": Format(
        read_preference,
        {"chosen": ("chosen", "chosen_response"), "rejected": ("rejected", "rejected_response")},
        {"messages": _TURN_LISTS, **_PAIR, **_SYSTEM, "tools": ("tools", "functions")},
    ),
    "thumbs": Format(
        read_thumbs,
        {"label": ("label", "kto_tag", "rating", "thumbs", "feedback")},
        {
            "messages": _TURN_LISTS,
            **_PAIR,
            "completion": ("completion", "response"),
            "output": ("output",),
            **_SYSTEM,
            "tools": ("tools", "functions"),
        },
    ),
    "messages": Format(read_messages, {"messages": ("messages", "conversation", "turns", "dialogue", "chat")}, _TURNS),
    "sharegpt": Format(read_sharegpt, {"conversations": ("conversations", "conversation")}, _TURNS),
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
    "labelled": Format(
        read_labelled,
        {
            "text": ("text", "utterance", "sentence", "query", "review", "comment", "content", "body", "message"),
            "label": ("label_text", "label_name", "label", "intent", "sentiment", "topic", "category", "class"),
        },
        {"title": ("title", "heading")},
    ),
    "text": Format(read_text, {"text": ("text", "content", "body")}, {"title": ("title", "heading")}),
}
"""In the order in which they are tried when the recipe names none."""

_RATINGS: Mapping[str, Rating] = {
    **dict.fromkeys(("true", "1", "1.0", "up", "thumbs_up", "thumbs up", "good", "like", "liked", "👍"), "up"),
    **dict.fromkeys(("false", "0", "0.0", "-1", "down", "thumbs_down", "thumbs down", "bad", "dislike", "👎"), "down"),
}


def rating_of(value: object) -> Rating | None:
    """Thumb up or down, as booleans, 1 and 0, or words; None for anything else."""
    return _RATINGS.get(text_of(value).lower())


def _missing(names: list[str]) -> Dropped:
    return Dropped(tuple(f"missing value: {name} is empty" for name in names))


def _exchange(user: str, assistant: str) -> tuple[Message, Message]:
    return Message(role="user", content=user), Message(role="assistant", content=assistant)


def _instruction(fields: Fields) -> str:
    return "\n".join(part for part in (text_of(fields.get("instruction")), text_of(fields.get("input"))) if part)


def _is_turns(value: object) -> bool:
    """Whether a field holds a turn or a list of turns, which may stand as JSON text, rather than words."""
    found = parsed_list(value)
    return isinstance(found, dict) or (isinstance(found, list) and bool(found) and isinstance(found[0], dict))


def _side(value: object, role: Role) -> tuple[Message, ...] | Dropped:
    """The turns that a field holds, of which there is at least one; words are one turn of `role`."""
    if not _is_turns(value):
        return (Message(role=role, content=text_of(value)),)
    found = parsed_list(value)
    messages = read_turn_list([found] if isinstance(found, dict) else found)
    return messages or dropped("missing value", "a list of turns says nothing")


def _answer(value: object, *, alone: bool) -> tuple[Message, ...] | Dropped:
    """One of two answers; with the turns before it where it is a list of turns, or `alone` and a transcript."""
    if alone and isinstance(value, str) and not _is_turns(value):
        transcript = read_transcript(value)
        if isinstance(transcript, tuple) and len(transcript) > 1:
            return transcript
    return _side(value, "assistant")


def _before_answers(fields: Fields) -> tuple[Message, ...] | Dropped:
    """What comes before the two answers of a preference pair, as far as it has a field of its own."""
    for name in ("prompt", "messages"):
        if text_of(fields.get(name)):
            return _side(fields[name], "user")
    instruction = _instruction(fields)
    return (Message(role="user", content=instruction),) if instruction else ()


def _answered(fields: Fields, exchange: Mapping[str, str], earlier: list[Message] | None = None) -> Parsed:
    """A request and its answer, `exchange` being {name of the request: text, name of the answer: text}."""
    if empty := [name for name, text in exchange.items() if not text]:
        return _missing(empty)
    return _conversation(fields, (*(earlier or ()), *_exchange(*exchange.values())))


def _turn_list(fields: Fields, name: str) -> Parsed:
    turns = parsed_list(fields.get(name))
    return _missing([name]) if turns is None or turns == "" else _conversation(fields, read_turn_list(turns))


def _conversation(fields: Fields, messages: tuple[Message, ...] | Dropped) -> Parsed:
    """The messages under their system prompt, with tools and label where the record has them."""
    if isinstance(messages, Dropped):
        return messages
    tools = read_tools(fields.get("tools"))
    if isinstance(tools, Dropped):
        return tools
    system = text_of(fields.get("system"))
    if system:
        messages = (Message(role="system", content=system), *messages)
    return Content(messages, tools=tools, label=text_of(fields.get("label")) or None)
