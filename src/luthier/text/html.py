"""Plain text out of HTML."""

import re

from selectolax.lexbor import LexborHTMLParser, LexborNode

_TAGS = (
    "a|abbr|address|article|b|big|blockquote|body|br|center|code|col|colgroup|dd|del|div|dl|dt|em|font|footer|form|h[1-6]"
    "|head|header|hr|html|i|img|ins|label|li|link|main|meta|nav|ol|p|pre|s|section|small|span|strike|strong|style|sub|sup"
    "|table|tbody|td|tfoot|th|thead|title|tr|tt|u|ul"
)
_ATTRIBUTES = r"""(?:\s+[\w:-]+\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))*"""
_TAG = re.compile(rf"<(?:/(?:{_TAGS})\s*|(?:{_TAGS}){_ATTRIBUTES}\s*/?)>", re.IGNORECASE)
_BLOCK = re.compile(r"<(?:br|p|div|li|tr|table|ul|ol|pre|body|html|h[1-6]|blockquote)\b", re.IGNORECASE)
"""Where none of these stands, somebody marked up plain text, whose line ends count."""

_SKIPPED = frozenset({"head", "script", "style", "template", "title", "noscript"})
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_PADDED = _HEADINGS | {"blockquote", "ol", "p", "pre", "table", "ul"}
"""Elements with an empty line before and after."""
_BLOCKS = frozenset(
    {"address", "article", "body", "center", "dd", "div", "dl", "dt", "footer", "form", "header", "hr", "li", "main"}
    | {"nav", "section", "tr"}
)
"""Elements that stand on lines of their own."""


def has_html(text: str) -> bool:
    """Whether the text holds real HTML tags; `a < b`, `<order id>` and `x <y@z.example>` are none."""
    return "<" in text and _TAG.search(text) is not None


def html_to_text(text: str) -> str:
    """The text a reader sees: paragraphs, lists with dashes, links with their address; unchanged without HTML tags.

    Quoted blocks become lines that start with `> `. Scripts, styles and comments are left out.
    """
    if not has_html(text):
        return text
    if _BLOCK.search(text) is None:
        text = text.replace("\n", "<br>")
    root = LexborHTMLParser(text).body
    if root is None:
        return ""
    lines = _Lines()
    _write(root, lines)
    return lines.text()


class _Lines:
    """Text under construction: white space collapses as in a browser, blocks begin new lines."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._line = ""
        self._quotes = 0
        self.verbatim = 0
        """How many `pre` elements are open."""

    def add(self, text: str) -> None:
        collapsed = re.sub(r"[ \t\r\n\f]+", " ", text)
        self._line += collapsed.lstrip(" ") if not self._line or self._line.endswith(" ") else collapsed

    def add_verbatim(self, text: str) -> None:
        first, *rest = text.split("\n")
        self._line += first
        for line in rest:
            self.break_line()
            self._line = line

    def end_line(self) -> None:
        if self._line.strip():
            self.break_line()
        self._line = ""

    def end_paragraph(self) -> None:
        self.end_line()
        if self._done and self._done[-1]:
            self._done.append("")

    def quote(self, change: int) -> None:
        self._quotes += change

    def text(self) -> str:
        self.end_line()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._done)).strip()

    def break_line(self) -> None:
        """End the line even if it is empty: two `br` leave an empty one."""
        self._done.append(("> " * self._quotes + self._line).rstrip())
        self._line = ""


def _write(root: LexborNode, lines: _Lines) -> None:
    """Walk the tree with a stack of our own: hostile mail nests deeper than Python recurses."""
    stack: list[tuple[LexborNode, bool]] = [(root, True)]
    while stack:
        node, entering = stack.pop()
        tag = node.tag or ""
        if not entering:
            _leave(node, tag, lines)
        elif node.is_text_node:
            _write_text(node, lines)
        elif node.is_element_node and tag not in _SKIPPED:
            _enter(node, tag, lines)
            stack.append((node, False))
            stack.extend((child, True) for child in reversed(list(node.iter(include_text=True))))


def _write_text(node: LexborNode, lines: _Lines) -> None:
    text = node.text_content or ""
    if lines.verbatim:
        lines.add_verbatim(text)
    else:
        lines.add(text)


def _enter(node: LexborNode, tag: str, lines: _Lines) -> None:
    if tag == "br":
        lines.break_line()
    elif tag in _PADDED:
        lines.end_paragraph()
    elif tag in _BLOCKS:
        lines.end_line()
    if tag == "li":
        lines.add("- ")
    elif tag == "blockquote":
        lines.quote(+1)
    elif tag == "pre":
        lines.verbatim += 1
    elif tag == "img":
        lines.add(node.attributes.get("alt") or "")


def _leave(node: LexborNode, tag: str, lines: _Lines) -> None:
    if tag == "a":
        address = node.attributes.get("href") or ""
        shown = node.text(deep=True).strip()
        if address.startswith(("http://", "https://")) and address.rstrip("/") not in (shown.rstrip("/"), ""):
            lines.add(f" ({address})" if shown else address)
    elif tag in ("td", "th"):
        lines.add(" ")
    elif tag in _PADDED:
        lines.end_paragraph()
    elif tag in _BLOCKS:
        lines.end_line()
    if tag == "blockquote":
        lines.quote(-1)
    elif tag == "pre":
        lines.verbatim -= 1
