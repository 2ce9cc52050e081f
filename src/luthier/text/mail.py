"""What a person wrote in a mail, without what programs added."""

import re

from luthier.text.automatic import cut_added_lines
from luthier.text.html import has_html
from luthier.text.mail_html import html_mail_to_text
from luthier.text.quotes import cut_quotes, cut_reply_marker
from luthier.text.signature import cut_sign_off, cut_signature

_BLANK_LINES = re.compile(r"\n{3,}")


def cut_mail(text: str) -> str:
    """Cut quoted replies, signatures after `-- `, legal notices and lines such as "Sent from my phone".

    Expects text with `\\n` line ends. A mail that holds nothing else stays whole.
    """
    if "\n" not in text:
        return text  # a line that is all quote or signature stays, too
    own = cut_signature(cut_quotes(text))
    if own == text:
        return text
    return _BLANK_LINES.sub("\n\n", own).strip() or text


def mail_text(text: str) -> str:
    """What somebody wrote in a message of a help desk, given as HTML or plain text.

    Beyond `cut_mail`, sign-offs ("Best regards, Jane") and the lines of help desks go. Characters are not mended. Empty
    where nothing of its own is in it, unless it is all quoted: then the quotes stay.
    """
    shown = html_mail_to_text(text) if has_html(text) else text
    shown = cut_added_lines(cut_reply_marker(_plain_space(shown)))
    own = cut_mail(shown.strip())
    return _BLANK_LINES.sub("\n\n", cut_sign_off(own)).strip()


def _plain_space(text: str) -> str:
    """The text with `\\n` line ends and spaces that patterns know."""
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ").replace("\u202f", " ")
