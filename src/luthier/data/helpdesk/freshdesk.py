"""Tickets of Freshdesk, as its API gives them with `include=conversations`."""

from luthier.data.content import Fields, Format, Parsed, objects_in, text_of
from luthier.data.helpdesk.dialogue import (
    Side,
    Ticket,
    as_dialogue,
    identity,
    in_order,
    inner,
    is_false,
    is_true,
    richest,
)

_STATUSES = {"2": "open", "3": "pending", "4": "resolved", "5": "closed", "6": "waiting on customer"}
_STATUSES["7"] = "waiting on third party"
_OUTBOUND_MAIL = "10"
"""The `source` of a ticket that an agent opened by writing to the customer."""
_NOT_SAID = frozenset({"4", "6", "8"})
"""The `source` of what is no message between the two: a system's word, a survey's answer, a forward to others."""


def read_freshdesk(fields: Fields) -> Parsed:
    """The description of a ticket and its `conversations`; private ones are notes."""
    requester = identity(fields.get("requester_id")) or identity(fields.get("requester"))
    opener: Side = "assistant" if text_of(fields.get("source")) == _OUTBOUND_MAIL else "user"
    said: list[tuple[Side, str]] = [(opener, richest(fields, "description", "description_text"))]
    for part in in_order(_parts(fields), lambda each: each.get("created_at")):
        if not is_true(part.get("private")) and text_of(part.get("source")) not in _NOT_SAID:
            said.append((_side(part, requester), richest(part, "body", "body_text")))
    status = text_of(fields.get("status")).lower()
    ticket = Ticket(
        subject=text_of(fields.get("subject")),
        status=_STATUSES.get(status, status),
        conversation_id=identity(fields.get("id")),
        customer_id=requester,
    )
    return as_dialogue(said, ticket)


def is_freshdesk(fields: Fields) -> bool:
    """Whether a record is a ticket: conversations that come in or go out, or a description in two versions."""
    parts = _parts(fields)
    if any("incoming" in part and not {"body", "body_text"}.isdisjoint(part) for part in parts):
        return True
    return not parts and bool(fields.get("description_text")) and text_of(fields.get("status")) in _STATUSES


def _parts(fields: Fields) -> list[Fields]:
    """Conversations, also inside the `helpdesk_note` of old exports."""
    found = objects_in(fields.get("conversations"))
    return [note if isinstance(note := inner(part, "helpdesk_note"), dict) else part for part in found]


def _side(part: Fields, requester: str) -> Side:
    if is_true(part.get("incoming")) or (requester and identity(part.get("user_id")) == requester):
        return "user"
    return "assistant" if is_false(part.get("incoming")) or identity(part.get("user_id")) else "user"


FRESHDESK = Format(
    read_freshdesk,
    {"conversations": ("conversations", "notes", "description_text")},
    {
        "id": ("id", "display_id", "ticket_id"),
        "subject": ("subject",),
        "description": ("description", "description_html"),
        "description_text": ("description_text",),
        "status": ("status",),
        "source": ("source",),
        "requester_id": ("requester_id",),
        "requester": ("requester",),
    },
    is_freshdesk,
)
