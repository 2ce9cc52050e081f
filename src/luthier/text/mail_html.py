"""The parts of HTML mails that hold a quoted mail or a signature."""

from selectolax.lexbor import LexborHTMLParser

from luthier.text.html import html_to_text

_QUOTED = (
    ".gmail_quote, .gmail_extra, .moz-cite-prefix, .yahoo_quoted, .zmail_extra,"
    " .protonmail_quote, .freshdesk_quote, .zd-quoted, .OutlookMessageHeader, blockquote[type=cite]"
)
_SIGNATURES = ".gmail_signature, .moz-signature, #Signature, .ms-outlook-mobile-signature, .protonmail_signature_block"
_FOLLOWED = "#divRplyFwdMsg, #appendonsend, #mail-editor-reference-message-container"
"""After these, all that is left is the mail that is answered."""
_HINTS = (
    *("_quote", "gmail_", "moz-", "yahoo_quoted", "zmail_extra", "cite", "Outlook", "ignature", "RplyFwd"),
    *("appendonsend", "mail-editor-reference", "zd-quoted", "protonmail"),
)
_FORWARDED = "forwarded message"


def html_mail_to_text(html: str) -> str:
    """The text of an HTML mail without its quoted parts, or with them where there is nothing else."""
    return html_to_text(_without_quoted_parts(html)).strip() or html_to_text(html)


def _without_quoted_parts(html: str) -> str:
    """The HTML without what mail programs mark as quoted or as a signature; a forwarded mail stays."""
    if not any(hint in html for hint in _HINTS):
        return html
    tree = LexborHTMLParser(html)
    selectors = _SIGNATURES if _FORWARDED in html.lower() else f"{_QUOTED}, {_SIGNATURES}"
    for node in tree.css(selectors):
        node.decompose()
    if _FORWARDED not in html.lower():
        for node in tree.css(_FOLLOWED):
            while node.next is not None:
                node.next.decompose()
            node.decompose()
    return tree.body.html or "" if tree.body is not None else ""
