"""PDF: one record a page."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from luthier.core.errors import SourceError
from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.records import Record

_SAMPLE_PAGES = 20
_MIN_PAGES = 3
"""Pages that a line must stand on, and half of those looked at, to be a running header or footer."""
_EDGE_LINES = 2
_NO_TEXT = "has no text, only pictures"
_WRAPPED = re.compile(r"(?<=[^\W\d_]),?[ \t]*\n(?=[a-zß-öø-ÿ])")
_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u00ad]\n(?=[a-zß-öø-ÿ])")


def read_pdf(path: Path, name: str) -> Iterator[Record]:
    """Pages with text, their row being the page's number. Empty pages are none, those of mere pictures unreadable.

    Headers and footers that run through the document are left out, and lines that were broken inside a sentence are
    joined. Raises SourceError for a file with a password, one that is damaged, and one in which no page has text.
    """
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(path, strict=False)
        if reader.is_encrypted and not _opens_without_password(reader):
            raise SourceError("is protected with a password", where=name, allowed="save a copy without one")
        pages = len(reader.pages)
    except (PyPdfError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SourceError(f"is damaged, or no PDF that can be read: {error}", where=name) from error
    yield from _read_pages(reader, pages, name)


def _opens_without_password(reader: Any) -> bool:
    """Whether the password only limits what may be done with the file; its text is then open to every reader."""
    from pypdf.errors import DependencyError, PyPdfError

    try:
        return bool(reader.decrypt(""))
    except (DependencyError, NotImplementedError, PyPdfError):
        return False


def _read_pages(reader: Any, count: int, name: str) -> Iterator[Record]:
    pages = (_page(reader, number) for number in range(1, count + 1))
    first = list(islice(pages, _SAMPLE_PAGES))
    running = _running_lines([text for _, text, _ in first])
    found_text, first_problem = False, ""
    for number, text, problem in chain(first, pages):
        origin = Origin(name, number)
        body = _body(text, running)
        if problem:
            first_problem = first_problem or f": page {number} {problem}"
            yield Record(origin, number, {}, f"page {number} {problem}", "", alone=True)
        elif len(body) > lines.MAX_CHARACTERS:
            yield Record(origin, number, {}, lines.too_long("a page"), body[: lines.START_CHARACTERS], alone=True)
        elif body:
            found_text = True
            yield Record(origin, number, {"body": body})
    if not found_text:
        allowed = "run text recognition (OCR) on it first" if _NO_TEXT in first_problem else None
        raise SourceError(f"no page has text{first_problem}", where=name, allowed=allowed)


def _page(reader: Any, number: int) -> tuple[int, str, str]:
    """(number, text, what is wrong with it)."""
    try:
        page = reader.pages[number - 1]
        text = page.extract_text()
        if not text.strip() and _shows_pictures(page):
            return number, "", _NO_TEXT
    except Exception as error:  # pypdf lets whatever a damaged page provokes through
        return number, "", f"cannot be read: {error}"
    return number, text, ""


def _shows_pictures(page: Any) -> bool:
    resources = page.get("/Resources")
    objects = resources.get_object().get("/XObject") if resources is not None else None
    if objects is None:
        return False
    return any(entry.get_object().get("/Subtype") in ("/Image", "/Form") for entry in objects.get_object().values())


def _running_lines(texts: Sequence[str]) -> frozenset[str]:
    """Lines at the top or bottom of at least half of the pages, numbers in them left out of account."""
    counts = Counter(chain.from_iterable({_shape(line) for line in _edges(text)} for text in texts))
    filled = sum(bool(text.strip()) for text in texts)
    return frozenset(shape for shape, count in counts.items() if count >= max(_MIN_PAGES, filled / 2))


def _edges(text: str) -> list[str]:
    found = [line for line in text.splitlines() if line.strip()]
    return [*found[:_EDGE_LINES], *found[-_EDGE_LINES:]] if len(found) > _EDGE_LINES else found


def _shape(line: str) -> str:
    return re.sub(r"\d+", "0", " ".join(line.split()))


def _body(text: str, running: frozenset[str]) -> str:
    found = [line.rstrip() for line in text.splitlines()]
    edges = [place for place, line in enumerate(found) if line.strip()]
    edges = edges if len(edges) <= 2 * _EDGE_LINES else [*edges[:_EDGE_LINES], *edges[-_EDGE_LINES:]]
    left_out = {place for place in edges if _shape(found[place]) in running}
    body = "\n".join(line for place, line in enumerate(found) if place not in left_out)
    return _WRAPPED.sub(lambda match: match[0].rstrip() + " ", _HYPHENATED.sub("", body)).strip()
