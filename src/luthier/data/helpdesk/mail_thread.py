"""Threads of mails, as the reader of mailboxes puts them together."""

from luthier.data.content import Fields, Format, Parsed, objects_in, text_of
from luthier.data.helpdesk.dialogue import Side, Ticket, as_dialogue, is_true
from luthier.text import is_automatic


def read_mail_thread(fields: Fields) -> Parsed:
    """`mails: [{side, body, subject, automatic}]` in the order of their dates; `side` is agent or customer."""
    said: list[tuple[Side, str]] = []
    for mail in objects_in(fields.get("mails")):
        if not is_true(mail.get("automatic")) and not is_automatic("", text_of(mail.get("subject"))):
            side: Side = "assistant" if mail.get("side") == "agent" else "user"
            said.append((side, text_of(mail.get("body"))))
    ticket = Ticket(
        subject=text_of(fields.get("subject")),
        conversation_id=text_of(fields.get("thread_id")),
        customer_id=text_of(fields.get("customer")),
    )
    return as_dialogue(said, ticket)


def is_mail_thread(fields: Fields) -> bool:
    """Whether the mails of a record tell which side wrote them."""
    return any("side" in mail and "body" in mail for mail in objects_in(fields.get("mails")))


MAIL_THREAD = Format(
    read_mail_thread,
    {"mails": ("mails",)},
    {"subject": ("subject",), "thread_id": ("thread_id",), "customer": ("customer",)},
    is_mail_thread,
)
