"""What a person wrote in a mail, without what the mail program added."""

import re

_REPLY_HEADER = re.compile(
    r"^[ \t>]*(?:On\b[^\n]{4,200}(?:\n[^\n]{0,200})?\bwrote:"
    r"|Am\b[^\n]{4,200}(?:\n[^\n]{0,200})?\bschrieb\b[^\n]{0,200}:"
    r"|Le\b[^\n]{4,200}(?:\n[^\n]{0,200})?\ba écrit\s?:)[ \t]*$",
    re.MULTILINE,
)
_ORIGINAL_MESSAGE = re.compile(
    r"^[ \t>]*-{3,}[ \t]*(?:Original Message|Ursprüngliche Nachricht|Message d'origine)[ \t]*-{3,}[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
_HEADER_BLOCK = re.compile(
    r"^(?:_{10,}[ \t]*\n+)?From:[^\n]+\n(?:[^\n]+\n){0,2}?(?:Sent|Date):[^\n]+\n(?:[^\n]+\n){0,3}?Subject:",
    re.MULTILINE,
)
_SIGNATURE = re.compile(r"^--[ \t]*\n(?:[^\n]*(?:\n|\Z)){0,12}\Z", re.MULTILINE)
_DEVICE = re.compile(
    r"^[ \t]*(?:Sent from (?:my|Yahoo|Mail|Outlook)\b[^\n]{0,60}|Get Outlook for [^\n]{0,60}|Sent with [^\n]{0,60}|"
    r"Von meinem [^\n]{0,40} gesendet|Envoyé de mon [^\n]{0,40})[ \t]*$",
    re.MULTILINE,
)
_QUOTED_LINE = re.compile(r"^[ \t]?>(?!>>\s)[^\n]*(?:\n|\Z)", re.MULTILINE)
_CUTS = (_REPLY_HEADER, _ORIGINAL_MESSAGE, _HEADER_BLOCK)


def cut_mail(text: str) -> str:
    """Cut quoted replies, signatures after `-- ` and lines such as "Sent from my phone".

    Expects text with `\\n` line ends. A mail that holds nothing else (a forwarded one) stays whole.
    """
    own = text
    for pattern in _CUTS:
        if (found := pattern.search(own)) is not None:
            own = own[: found.start()]
    own = _SIGNATURE.sub("", own)
    own = _DEVICE.sub("", own)
    own = _QUOTED_LINE.sub("", own)
    if own == text:
        return text
    own = re.sub(r"\n{3,}", "\n\n", own).strip()
    return own or text
