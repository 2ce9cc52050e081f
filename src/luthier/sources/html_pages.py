"""HTML pages: one record a section under a heading, or one a page without headings."""

import re
from collections.abc import Iterator
from pathlib import Path

from selectolax.lexbor import LexborHTMLParser, LexborNode

from luthier.core.errors import SourceError
from luthier.sources import lines
from luthier.sources.encoding import open_text
from luthier.sources.records import Record
from luthier.sources.sections import Sections
from luthier.text import html_to_text

_AROUND = "nav, header, footer, aside, form, button, iframe, svg, script, style, noscript, template, [hidden]"
"""What frames the text on every page of a site."""
_HEADINGS = "h1, h2, h3, h4, h5, h6"
_MAIN = ("main", "[role=main]", "article")
_MARK = "\ufdd0"
"""A code point that is no character marks headings in the plain text."""
_MARKED = re.compile(rf"{_MARK}(\d){_MARK}(.*?){_MARK}")


def read_html(path: Path, name: str) -> Iterator[Record]:
    """Sections of the main text: `title` is the path of headings, or of a page without any its own, `body` the text.

    The main text is the element `main`, or the one `article`, or the body; menus, headers, footers and forms are left
    out. Raises SourceError for a page that is too long to be one.
    """
    tree = LexborHTMLParser(_page_text(path, name).replace(_MARK, " "))
    title = _title(tree)
    sections = Sections(name)
    root = _main_text(tree)
    if root is None:
        return
    headings = root.css(_HEADINGS)
    if not headings and title:
        yield from sections.heading(1, title, 1)
    for heading in headings:
        heading.replace_with(f"\n{_MARK}{(heading.tag or 'h1')[1]}{_MARK}{_one_line(heading.text())}{_MARK}\n")
    for place, line in enumerate(_with_breaks(html_to_text(root.html or "")), start=1):
        if found := _MARKED.fullmatch(line):
            yield from sections.heading(int(found[1]), found[2].strip(), place)
        else:
            sections.add(line)
    yield from sections.finish()


def _page_text(path: Path, name: str) -> str:
    with open_text(path) as handle:
        text = handle.read(lines.MAX_CHARACTERS + 1)
    if len(text) > lines.MAX_CHARACTERS:
        raise SourceError(lines.too_long("a page"), where=name)
    return text


def _main_text(tree: LexborHTMLParser) -> LexborNode | None:
    body = tree.body
    if body is None:
        return None
    found = (body.css(selector) for selector in _MAIN)
    root = next((nodes[0] for nodes in found if len(nodes) == 1), body)
    for node in root.css(_AROUND):
        node.decompose()
    return root


def _title(tree: LexborHTMLParser) -> str:
    node = tree.css_first("title")
    return _one_line(node.text()) if node is not None else ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _with_breaks(text: str) -> list[str]:
    """Lines, with every marked heading on one of its own."""
    return re.sub(rf"[ \t]*({_MARKED.pattern})[ \t]*", r"\n\1\n", text).split("\n")
