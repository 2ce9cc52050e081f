"""Subjects of mails and tickets."""

import re

_REPLY = re.compile(r"\s*(?:re|aw|wg|sv|fwd?|tr|rv|res|enc|antw|rif|r)\s*(?:\[\d+\])?\s*:\s*", re.IGNORECASE)
_TAG = re.compile(r"\s*(?:\[[^\]\n]{0,40}#?\d{2,}\]|\[external\]|\(?ticket ?#?\d+\)?\s*:)\s*", re.IGNORECASE)
_EMPTY = re.compile(
    r"(?:\(?(?:no subject|kein betreff|sans objet)\)?|(?:chat|conversation|call|voicemail) (?:with|from|started)\b.*"
    r"|(?:incoming|outgoing|missed|abandoned) call\b.*|untitled|none|null|n/a)?",
    re.IGNORECASE | re.DOTALL,
)


def bare_subject(subject: str) -> str:
    """A subject without "Re:", ticket numbers and the like; empty for one that says nothing ("Chat with Ann")."""
    while (found := _REPLY.match(subject) or _TAG.match(subject)) is not None:
        subject = subject[found.end() :]
    subject = " ".join(subject.split())
    return "" if _EMPTY.fullmatch(subject) else subject


def is_reply(subject: str) -> bool:
    """Whether a subject begins with "Re:" or what other languages write for it."""
    return _REPLY.match(subject) is not None
