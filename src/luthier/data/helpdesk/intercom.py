"""Conversations of Intercom, as its API gives them."""

from collections.abc import Iterator

from luthier.data.content import Fields, Format, Parsed, objects_in, text_of
from luthier.data.helpdesk.dialogue import Side, Ticket, as_dialogue, identity, in_order, inner, is_true
from luthier.text import html_to_text

_CUSTOMERS = frozenset({"user", "lead", "contact", "visitor"})
_AGENTS = frozenset({"admin", "team", "teammate"})
_UNASKED = frozenset({"automated", "campaigns_initiated", "operator_initiated"})
"""How a conversation begins (`source.delivered_as`) that no person of the company opened."""


def read_intercom(fields: Fields) -> Parsed:
    """The message that opened a conversation and its parts.

    Left out are notes, what bots and campaigns wrote, deleted messages, and parts that only tell of an event. A part
    of another type with a body, such as one that closes the conversation with a last word, counts.
    """
    parts = in_order(_parts(fields), lambda part: part.get("created_at"))
    source = fields.get("source")
    opening = [source] if isinstance(source, dict) and source.get("delivered_as") not in _UNASKED else []
    if isinstance(source, dict) and _side(source) == "user":
        opening = [source]
    said = [(side, text_of(part.get("body"))) for part in (*opening, *parts) if (side := _side(part)) is not None]
    ticket = Ticket(
        subject=html_to_text(text_of(inner(fields, "source", "subject"))),
        status=_status(fields),
        conversation_id=identity(fields.get("id")),
        customer_id=_customer(fields),
    )
    return as_dialogue(said, ticket)


def is_intercom(fields: Fields) -> bool:
    """Whether a record is a conversation: its opening names an author, or its parts have types."""
    source = fields.get("source")
    if isinstance(source, dict) and "author" in source and "body" in source:
        return True
    return any("part_type" in part for part in _parts(fields))


def _parts(fields: Fields) -> list[Fields]:
    parts = fields.get("conversation_parts")
    return objects_in(parts.get("conversation_parts") if isinstance(parts, dict) else parts)


def _side(part: Fields) -> Side | None:
    """Who wrote a message to the other side, if a person did."""
    author = part.get("author")
    if "note" in text_of(part.get("part_type")) or is_true(part.get("redacted")) or not isinstance(author, dict):
        return None
    if is_true(author.get("from_ai_agent")) or is_true(author.get("is_ai_answer")):
        return None
    kind = text_of(author.get("type")).lower()
    if kind in _CUSTOMERS:
        return "user"
    return "assistant" if kind in _AGENTS else None


def _status(fields: Fields) -> str:
    state = text_of(fields.get("state")).lower()
    if state:
        return state
    return {True: "open", False: "closed"}.get(bool(fields["open"]), "") if fields.get("open") is not None else ""


def _customer(fields: Fields) -> str:
    return next(filter(None, _customer_ids(fields)), "")


def _customer_ids(fields: Fields) -> Iterator[str]:
    for contact in objects_in(inner(fields, "contacts", "contacts")):
        yield identity(contact)
    for name in ("user", "customer"):
        yield identity(fields.get(name)) if isinstance(fields.get(name), dict) else ""
    for part in (fields.get("source"), *_parts(fields)):
        if isinstance(part, dict) and _side(part) == "user":
            yield identity(part.get("author"))


INTERCOM = Format(
    read_intercom,
    {"source": ("source", "conversation_message")},
    {
        "conversation_parts": ("conversation_parts",),
        "id": ("id", "conversation_id"),
        "state": ("state",),
        "open": ("open",),
        "contacts": ("contacts",),
        "user": ("user",),
        "customer": ("customer",),
    },
    is_intercom,
)
