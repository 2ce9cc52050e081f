"""Files with one comment a row, whose rows `thread_by` in the recipe has gathered: a record is {column: values}."""

from collections.abc import Mapping

from luthier.data.content import Fields, Format, Parsed, text_of
from luthier.data.helpdesk.dialogue import Side, Ticket, as_dialogue, in_order, is_false, is_true
from luthier.data.reasons import dropped
from luthier.data.turns import ROLES

_CUSTOMER_WORDS = frozenset({"end-user", "end user", "enduser", "end_user", "requester", "lead", "contact", "incoming"})
_CUSTOMER_WORDS |= {"inbound", "in", "received"}
_AGENT_WORDS = frozenset({"admin", "administrator", "operator", "staff", "teammate", "team", "representative", "rep"})
_AGENT_WORDS |= {"outgoing", "outbound", "out", "sent", "light agent", "employee"}
_MACHINE_WORDS = frozenset({"system", "bot", "automation", "trigger", "workflow"})
_NOTE_WORDS = frozenset({"private", "internal", "note", "internal note", "private note", "private comment"})


def read_comment_rows(fields: Fields) -> Parsed:
    """The comments of one ticket: `comment`, with who wrote it under `author_role` or, told from the rest, `author`.

    Without roles, comments by the `requester` are the user's; without a requester, those by the first author.
    """
    rows = _rows(fields)
    if not any(text_of(row.get("comment")) for row in rows):
        return dropped("missing value", "comment is empty")
    rows = in_order(rows, lambda row: text_of(row.get("time")) or None)
    customer = _customer(rows)
    said = [
        (side, text_of(row.get("comment")))
        for row in rows
        if not _is_note(row) and (side := _side(row, customer)) is not None
    ]
    ticket = Ticket(
        subject=_last(fields.get("subject")),
        status=_last(fields.get("status")).lower(),
        conversation_id=_last(fields.get("ticket_id")),
        customer_id=_last(fields.get("requester")),
    )
    return as_dialogue(said, ticket)


def is_comment_rows(_: Fields) -> bool:
    """Never: rows are gathered where the recipe says so, which names the format too."""
    return False


def _rows(fields: Fields) -> list[Mapping[str, object]]:
    """The rows again; a column with a single value has it in all of them."""
    lists = {name: value if isinstance(value, list) else [value] for name, value in fields.items()}
    count = max((len(values) for values in lists.values()), default=0)
    return [
        {name: values[place] if len(values) == count else values[0] for name, values in lists.items() if values}
        for place in range(count)
    ]


def _customer(rows: list[Mapping[str, object]]) -> str:
    """Who asks, as the authors' column spells it."""
    authors = [text_of(row.get("author")) for row in rows if not _is_note(row)]
    requester = next((found for row in rows if (found := text_of(row.get("requester")))), "")
    return requester if requester in authors else next(filter(None, authors), "")


def _side(row: Mapping[str, object], customer: str) -> Side | None:
    """Who wrote a comment; None for a machine. Of a row that tells nothing, the customer."""
    role = text_of(row.get("author_role")).lower()
    if role in _MACHINE_WORDS:
        return None
    if role in _CUSTOMER_WORDS or ROLES.get(role) == "user":
        return "user"
    if role in _AGENT_WORDS or ROLES.get(role) == "assistant":
        return "assistant"
    if row.get("inbound") is not None and (is_true(row["inbound"]) or is_false(row["inbound"])):
        return "user" if is_true(row["inbound"]) else "assistant"
    author = text_of(row.get("author"))
    return "user" if not author or author == customer else "assistant"


def _is_note(row: Mapping[str, object]) -> bool:
    kind = text_of(row.get("private")).lower()
    return (
        is_false(row.get("public"))
        or is_true(row.get("private"))
        or kind in _NOTE_WORDS
        or (text_of(row.get("public")).lower() in _NOTE_WORDS)
    )


def _last(values: object) -> str:
    """The value of the last row that has one: a status changes."""
    found = values if isinstance(values, list) else [values]
    return next((text for value in reversed(found) if (text := text_of(value))), "")


def _spelled(*names: str) -> tuple[str, ...]:
    """The names with spaces, as people read them, and with underscores, as programs do."""
    return tuple(dict.fromkeys(spelling for name in names for spelling in (name, name.replace(" ", "_"))))


COMMENT_ROWS = Format(
    read_comment_rows,
    {
        "comment": _spelled(
            *("comment", "comment body", "comment text", "body", "message", "message body", "plain body", "html body"),
            *("text", "content", "description"),
        )
    },
    {
        "author": _spelled(
            *("author", "comment author", "author id", "comment author id", "author name", "sender", "from", "user id")
        ),
        "author_role": _spelled(
            *("author role", "comment author role", "role", "author type", "sender type", "direction", "speaker")
        ),
        "inbound": ("inbound", "incoming"),
        "public": _spelled("public", "is public", "comment public", "comment is public", "visibility"),
        "private": _spelled("private", "is private", "internal", "comment type"),
        "time": _spelled("created at", "comment created at", "timestamp", "sent at", "date", "time"),
        "subject": _spelled("subject", "ticket subject", "title"),
        "status": _spelled("status", "ticket status", "state"),
        "requester": _spelled("requester id", "requester", "ticket requester", "customer id", "customer"),
        "ticket_id": _spelled("ticket id", "id", "conversation id", "thread id"),
    },
    is_comment_rows,
)
