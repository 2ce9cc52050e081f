"""Mailboxes: one record a thread of mails."""

import re
from collections.abc import Iterator, Sequence
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import getaddresses, mktime_tz, parsedate_tz
from pathlib import Path
from typing import BinaryIO

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources.correspondents import Company, Mail, company_of, in_threads
from luthier.sources.mail_parts import body_of, header_of
from luthier.sources.records import Record
from luthier.text import bare_subject, has_automatic_headers

_ENVELOPE = re.compile(rb"From \S*.*\d\d:\d\d")
"""The line before each mail of a mailbox; a date stands in it."""
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_HEAD_BYTES = 256 << 10
_MAIL_BYTES = 16 << 20
"""So much of a mail is read: its text comes before its attachments."""
_LINE_BYTES = 1 << 20
_MOST_REFERENCES = 30
_IDS = re.compile(r"<([^<>\s]+)>")


def read_mbox(path: Path, name: str, agents: Sequence[str] = ()) -> Iterator[Record]:
    """`subject`, `thread_id`, `customer` and `mails` of each thread, in the order of their first mails in the file.

    Mails belong together by Message-ID, In-Reply-To and References, or by subject and correspondents. A mail is
    `{side, from, to, date, subject, body, automatic}`; `side` is agent for the addresses and domains in `agents`, and
    without these for whoever takes part in most threads. Attachments are left out. Of each mail, a few headers are
    held in memory. Raises SourceError for a file that is no mailbox.
    """
    with path.open("rb") as handle:
        if not _ENVELOPE.match(handle.readline(_LINE_BYTES)):
            raise SourceError("is no mailbox: the first line does not begin with From and a date", where=name)
        handle.seek(0)
        mails = list(_mails(handle))
    yield from _threads(path, name, mails, agents)


def read_mail(path: Path, name: str, agents: Sequence[str] = ()) -> Iterator[Record]:
    """One mail in a file of its own, in the shape of `read_mbox`."""
    with path.open("rb") as handle:
        mail = _mail(handle.read(_HEAD_BYTES), 0, path.stat().st_size, 1)
    yield from _threads(path, name, [mail], agents)


def _threads(path: Path, name: str, mails: Sequence[Mail], agents: Sequence[str]) -> Iterator[Record]:
    threads = in_threads(mails)
    company = company_of(threads, agents)
    with path.open("rb") as handle:
        for row, thread in enumerate(threads, start=1):
            customers = (author for mail in thread if (author := mail.author(company)) not in company)
            fields = {
                "subject": bare_subject(thread[0].subject),
                "thread_id": thread[0].message_id,
                "customer": next(customers, ""),
                "mails": [_fields(handle, mail, company) for mail in thread],
            }
            yield Record(Origin(name, row), min(mail.line for mail in thread), fields)


def _mails(handle: BinaryIO) -> Iterator[Mail]:
    """Where each mail of a mailbox stands, and its headers."""
    start, begun, line, place = 0, 0, 0, 0
    head = bytearray()
    blank = True
    while text := handle.readline(_LINE_BYTES):
        line += text.endswith(b"\n")
        if blank and text.startswith(b"From ") and _ENVELOPE.match(text):
            if begun:
                yield _mail(bytes(head), start, place - start, begun)
            start, begun = place + len(text), line
            head.clear()
        elif len(head) < _HEAD_BYTES:
            head += text
        blank = not text.strip(b"\r\n")
        place += len(text)
    if begun:
        yield _mail(bytes(head), start, place - start, begun)


def _mail(head: bytes, start: int, length: int, line: int) -> Mail:
    message = BytesHeaderParser().parsebytes(head)
    named = {name.lower(): header_of(message, name) for name in message.keys()}  # noqa: SIM118 a message is no mapping
    references = [*_IDS.findall(named.get("references", "")), *_IDS.findall(named.get("in-reply-to", ""))]
    recipients = getaddresses([named.get("to", ""), named.get("cc", "")])
    identity = _IDS.search(named.get("message-id", ""))
    return Mail(
        start,
        length,
        line,
        message_id=identity[1] if identity else f"mail-{line}",
        references=tuple(references[-_MOST_REFERENCES:]),
        sender=_address(named.get("from", "")),
        reply_to=_address(named.get("reply-to", "")),
        recipients=tuple(address.lower() for _, address in recipients if address),
        subject=named.get("subject", ""),
        sent=_sent(named.get("date", "")),
        automatic=has_automatic_headers(named),
    )


def _fields(handle: BinaryIO, mail: Mail, company: Company) -> dict[str, object]:
    handle.seek(mail.start)
    content = _ESCAPED.sub(rb"\1", handle.read(min(mail.length, _MAIL_BYTES)))
    message: Message = BytesParser().parsebytes(content)
    author = mail.author(company)
    return {
        "side": "agent" if author in company else "customer",
        "from": author,
        "to": list(mail.recipients),
        "date": header_of(message, "Date"),
        "subject": mail.subject,
        "body": body_of(message),
        "automatic": mail.automatic,
    }


def _address(header: str) -> str:
    found = [address for _, address in getaddresses([header]) if address]
    return found[0].lower() if found else ""


def _sent(header: str) -> float | None:
    """Seconds since 1970; None for a date that is missing or none."""
    try:
        parts = parsedate_tz(header)
        return float(mktime_tz(parts)) if parts else None
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
