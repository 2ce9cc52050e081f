"""The text of a mail, however it is packed."""

import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

from luthier.text import html_mail_to_text

_FLOWED_BREAK = re.compile(r"(?<=[^\s>-]) \n(?![>\n])")
"""A soft line break of format=flowed (RFC 3676); the one after the `-- ` of a signature is none."""
_DEEPEST = 30


def body_of(message: Message) -> str:
    """The text of a mail without attachments: plain text where there is some, else what the HTML shows."""
    return "\n\n".join(text for part in _texts(message, 0) if (text := part.strip()))


def header_of(message: Message, name: str) -> str:
    """A header in plain Unicode and one line; empty where it is missing."""
    value = message.get(name)
    if value is None:
        return ""
    try:
        parts = decode_header(value)  # a header with raw bytes in it is an object, which knows them
    except (HeaderParseError, ValueError):
        parts = [(str(value), None)]
    text = "".join(part if isinstance(part, str) else decoded(part, charset) for part, charset in parts)
    return " ".join(text.replace("\0", "").split())


def decoded(content: bytes, charset: str | None) -> str:
    """Bytes as text: by their charset, or, where that is unknown or wrong, as UTF-8 or Windows-1252."""
    for name in (charset, "utf-8"):
        try:
            return content.decode(name or "utf-8")
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    return content.decode("cp1252", errors="replace")


def _texts(part: Message, depth: int) -> Iterator[str]:
    kind = part.get_content_type()
    if part.get_content_disposition() == "attachment" or depth > _DEEPEST:
        return
    payload = part.get_payload()
    if isinstance(payload, list):
        if kind.startswith("message/") or kind == "multipart/report":
            return
        inner = [child for child in payload if isinstance(child, Message)]
        if kind == "multipart/alternative":
            yield from _best(inner, depth)
        else:
            for child in inner:
                yield from _texts(child, depth + 1)
    elif kind in ("text/plain", "text/html"):
        yield _text(part, kind)


def _best(versions: list[Message], depth: int) -> list[str]:
    """The texts of the first version that says something, plain text before others."""
    plain_first = sorted(versions, key=lambda version: version.get_content_type() != "text/plain")
    for version in plain_first:
        found = list(_texts(version, depth + 1))
        if any(text.strip() for text in found):
            return found
    return []


def _text(part: Message, kind: str) -> str:
    content = part.get_payload(decode=True)
    text = decoded(content if isinstance(content, bytes) else b"", part.get_content_charset())
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if kind == "text/html":
        return html_mail_to_text(text)
    return _FLOWED_BREAK.sub(" ", text) if str(part.get_param("format", "")).lower() == "flowed" else text
