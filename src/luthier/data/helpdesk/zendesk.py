"""Tickets of Zendesk, as its API and its JSON export give them."""

from collections.abc import Mapping, Sequence

from luthier.data.content import Fields, Format, Parsed, objects_in, text_of
from luthier.data.helpdesk.dialogue import Side, Ticket, as_dialogue, identity, in_order, inner, is_false, richest
from luthier.text import mail_text

_SYSTEM_AUTHOR = "-1"
_MACHINES = frozenset(
    {"rule", "system", "trigger", "automation", "answer_bot", "answer_bot_for_web_widget", "monitor_event"}
)
"""Channels (`via.channel`) by which Zendesk itself writes."""
_AGENT_ROLES = frozenset({"agent", "admin", "administrator", "light agent", "light-agent"})
_CUSTOMER_ROLES = frozenset({"end-user", "end user", "end_user", "enduser", "customer", "requester"})
_BODIES = ("html_body", "body", "plain_body", "value")
_OPENING = 40
"""Characters by which a description is found among the comments."""


def read_zendesk(fields: Fields) -> Parsed:
    """A ticket with its `comments`; of one without, the description alone.

    Comments with `public: false` are internal notes. The requester, people in copy and end users speak as the user,
    everyone else as the assistant. Where no requester is named, the author of the first comment is taken for one.
    """
    comments = in_order(objects_in(fields.get("comments")), lambda comment: comment.get("created_at"))
    customers = _customers(fields, comments)
    agents = _agents(fields, comments)
    roles = _roles(fields)
    said = [
        (_side(comment, roles, customers, agents), richest(comment, *_BODIES))
        for comment in comments
        if not is_false(comment.get("public")) and not _is_machine(comment)
    ]
    description = _description(fields)
    if description and not any(_opens_with(text, description) for _, text in said):
        opener = identity(fields.get("submitter_id")) or identity(fields.get("submitter"))
        said.insert(0, ("assistant" if opener in agents and opener not in customers else "user", description))
    return as_dialogue(said, _ticket(fields, customers))


def is_zendesk(fields: Fields) -> bool:
    """Whether a record is a ticket: its comments name authors, or it has none but the people and state of a ticket."""
    comments = objects_in(fields.get("comments"))
    if any(("author_id" in comment or "author" in comment) and _BODY_NAMES & comment.keys() for comment in comments):
        return True
    people = (("requester_id", "requester"), ("submitter_id", "submitter"))
    return not comments and bool(fields.get("status")) and all(any(map(fields.get, names)) for names in people)


_BODY_NAMES = frozenset(_BODIES)


def _ticket(fields: Fields, customers: Sequence[str]) -> Ticket:
    return Ticket(
        subject=text_of(fields.get("subject")),
        status=text_of(fields.get("status")).lower(),
        conversation_id=identity(fields.get("id")),
        customer_id=customers[0] if customers else "",
    )


def _description(fields: Fields) -> str:
    """The text of the first comment, which old and small exports have instead of comments."""
    comments = fields.get("comments")
    text = comments if isinstance(comments, str) and not objects_in(comments) else fields.get("description")
    return text if isinstance(text, str) else ""


def _opens_with(comment: str, description: str) -> bool:
    opening = " ".join(mail_text(description).split())[:_OPENING]
    return " ".join(mail_text(comment).split()).startswith(opening)


def _customers(fields: Fields, comments: Sequence[Fields]) -> list[str]:
    """Ids of who asks: the requester first, then people in copy."""
    found = [identity(fields.get(name)) for name in ("requester_id", "requester")]
    if not any(found) and comments:
        roles = _roles(fields)
        authors = (_author(comment) for comment in comments if not is_false(comment.get("public")))
        found = [next((author for author in authors if roles.get(author) not in _AGENT_ROLES), "")]
    for name in ("email_cc_ids", "collaborator_ids"):
        copied = fields.get(name)
        found += [identity(each) for each in copied] if isinstance(copied, list) else []
    return [each for each in dict.fromkeys(found) if each]


def _agents(fields: Fields, comments: Sequence[Fields]) -> set[str]:
    """Ids of who is known to work here: assigned, with such a role, or author of an internal note."""
    agents = {identity(fields.get(name)) for name in ("assignee_id", "assignee")}
    agents |= {user for user, role in _roles(fields).items() if role in _AGENT_ROLES}
    agents |= {_author(comment) for comment in comments if is_false(comment.get("public"))}
    requester = identity(fields.get("requester_id")) or identity(fields.get("requester"))
    submitter = identity(fields.get("submitter_id")) or identity(fields.get("submitter"))
    if requester and submitter != requester:
        agents.add(submitter)
    return agents - {"", requester}


def _side(comment: Fields, roles: Mapping[str, str], customers: Sequence[str], agents: set[str]) -> Side:
    author = _author(comment)
    role = text_of(inner(comment, "author", "role")).lower() or roles.get(author, "")
    if role in _AGENT_ROLES or role in _CUSTOMER_ROLES:
        return "assistant" if role in _AGENT_ROLES else "user"
    if customers and author == customers[0]:
        return "user"
    return "user" if author in customers and author not in agents else "assistant"


def _roles(fields: Fields) -> Mapping[str, str]:
    people = [*objects_in(fields.get("users"))]
    people += [
        person for name in ("requester", "submitter", "assignee") if isinstance(person := fields.get(name), dict)
    ]
    return {identity(person): text_of(person.get("role")).lower() for person in people}


def _author(comment: Fields) -> str:
    return identity(comment.get("author_id")) or identity(comment.get("author"))


def _is_machine(comment: Fields) -> bool:
    channel = text_of(inner(comment, "via", "channel")).lower()
    return _author(comment) == _SYSTEM_AUTHOR or channel in _MACHINES or comment.get("type") == "VoiceComment"


ZENDESK = Format(
    read_zendesk,
    {"comments": ("comments", "description")},
    {
        "id": ("id", "ticket_id", "ticket id"),
        "subject": ("subject", "raw_subject"),
        "description": ("description",),
        "status": ("status",),
        "requester_id": ("requester_id", "requester id"),
        "requester": ("requester",),
        "submitter_id": ("submitter_id", "submitter id"),
        "submitter": ("submitter",),
        "assignee_id": ("assignee_id", "assignee id"),
        "assignee": ("assignee",),
        "email_cc_ids": ("email_cc_ids",),
        "collaborator_ids": ("collaborator_ids",),
        "users": ("users",),
    },
    is_zendesk,
)
