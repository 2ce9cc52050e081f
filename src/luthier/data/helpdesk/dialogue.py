"""What the exports of all help desks have in common: from comments with known speakers to a conversation."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from luthier.core.rows import Message
from luthier.data.content import Content, Fields, Parsed, text_of
from luthier.data.reasons import dropped
from luthier.data.turns import merge_turns
from luthier.text import bare_subject, is_automatic, mail_text

Side = Literal["user", "assistant"]
Item = TypeVar("Item")

UNRESOLVED = frozenset(
    {"new", "open", "pending", "hold", "on-hold", "on hold", "on_hold", "snoozed", "waiting on customer"}
    | {"waiting on third party", "in progress", "in_progress", "awaiting reply", "reopened"}
)
"""What help desks call a ticket that is not done with."""

_THANKS = re.compile(
    r"\b(?:thanks?|thx|cheers|perfect|great|solved|works|danke|dank|merci|gracias|grazie|obrigad[oa]|super)\b",
    re.IGNORECASE,
)
_LONGEST_THANKS = 12
"""Words: a customer who thanks and asks nothing more ends a conversation well."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is known of a conversation beside what was said; `status` in lower case, empty where it is not known."""

    subject: str = ""
    status: str = ""
    conversation_id: str = ""
    customer_id: str = ""


def as_dialogue(said: Iterable[tuple[Side, str]], ticket: Ticket) -> Parsed:
    """The conversation that comments make, given who wrote each and its text or HTML as the export has it.

    Automatic messages, and what mail programs and help desks add, are left out; comments of one side that follow each
    other are one turn. Where the customer opens the conversation, the subject stands above the first turn unless that
    turn holds it, and alone where that comment is empty. Ends that leave the customer waiting are flagged.
    """
    messages: list[Message] = []
    for number, (side, raw) in enumerate(said):
        text = mail_text(raw)
        if number == 0 and side == "user":
            text = text or bare_subject(ticket.subject)
        if not text or is_automatic(text, ticket.subject if number == 0 else ""):
            continue
        message = Message(role=side, content=text)
        if not messages or messages[-1] != message:  # the same comment twice: a mail that was imported again
            messages.append(message)
    if not messages:
        return dropped("no turns", "no public comment that a person wrote")
    if messages[0]["role"] == "user":
        messages[0] = Message(role="user", content=_with_subject(ticket.subject, messages[0]["content"]))
    turns = tuple(merge_turns(messages))
    groups = (("conversation_id", ticket.conversation_id), ("customer_id", ticket.customer_id))
    return Content(turns, flags=_unresolved(turns, ticket.status), groups=tuple(group for group in groups if group[1]))


def in_order(items: Sequence[Item], when: Callable[[Item], object]) -> list[Item]:
    """The items by their time, ISO 8601 or a number, where all have one; else as they stand."""
    times = [when(item) for item in items]
    if all(isinstance(time, int | float) for time in times) or all(isinstance(time, str) and time for time in times):
        return [items[place] for place in sorted(range(len(items)), key=lambda place: times[place])]  # type: ignore[arg-type,return-value]
    return list(items)


def identity(value: object) -> str:
    """An id as text: itself, or that of an object with `id`; empty where there is none."""
    found = value.get("id") if isinstance(value, dict) else value
    return str(found) if type(found) is int else text_of(found)


def inner(fields: Fields, *path: str) -> object:
    """What stands in objects inside objects; None where one of them is missing."""
    value: object = fields
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def richest(comment: Fields, *names: str) -> str:
    """The first of these fields that holds text."""
    return next((text for name in names if isinstance(text := comment.get(name), str) and text.strip()), "")


def is_true(value: object) -> bool:
    """Whether a flag is set, as JSON or a CSV has it."""
    if isinstance(value, bool) or value is None:
        return value is True
    return text_of(value).lower() in ("true", "yes", "1", "t", "y")


def is_false(value: object) -> bool:
    """Whether a flag is there and not set."""
    if isinstance(value, bool) or value is None:
        return value is False
    return text_of(value).lower() in ("false", "no", "0", "f", "n")


def _with_subject(subject: str, body: str) -> str:
    shown = bare_subject(subject)
    known, said = _compared(shown), _compared(body)
    cut_off = shown.endswith(("...", "…"))
    if not known.strip() or known in said or (cut_off and said.startswith(known.rstrip())):
        return body
    return f"{shown}\n\n{body}"


def _compared(text: str) -> str:
    """The words alone, with a space on both sides."""
    words = " ".join(re.findall(r"\w+", text.casefold()))
    return f" {words} "


def _unresolved(turns: Sequence[Message], status: str) -> tuple[str, ...]:
    if status in UNRESOLVED:
        return (f"unresolved: the ticket is {status}",)
    last = turns[-1]
    if last["role"] == "user" and not (status and _thanks(last["content"])):
        return ("unresolved: the customer wrote last",)
    return ()


def _thanks(text: str) -> bool:
    return "?" not in text and len(text.split()) <= _LONGEST_THANKS and _THANKS.search(text) is not None
