"""DOCX: one record a section."""

import re
import xml.parsers.expat as expat
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree import ElementTree
from zipfile import ZipFile

from luthier.core.errors import SourceError
from luthier.sources import lines
from luthier.sources.archives import open_archive
from luthier.sources.records import Record
from luthier.sources.sections import Sections

_DOCUMENT, _STYLES = "word/document.xml", "word/styles.xml"
_STYLES_BYTES = 16 << 20
_HEADING_NAME = re.compile(r"heading ([1-6])", re.IGNORECASE)
_TITLE_NAME = "title"
_CHUNK_BYTES = 1 << 16
_BULLET = "- "
_NAMESPACE = "wordprocessingml"
_BREAKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_LEFT_OUT = frozenset({"del", "moveFrom", "Fallback", "instrText", "delText"})
"""Deleted text, the second spelling of text boxes, and field codes."""


def read_docx(path: Path, name: str) -> Iterator[Record]:
    """Sections with text of their own: `title` is the path of headings ("Returns > Refunds"), `body` what follows.

    A row of a table is a line, its cells with a bar between. Deleted text, comments, notes, headers and footers are
    left out. Raises SourceError for a file that is none, or is locked, damaged or a zip bomb.
    """
    with open_archive(path, name) as archive:
        if _DOCUMENT not in archive.namelist():
            raise SourceError("is no Word document: it has no word/document.xml", where=name)
        try:
            levels = _heading_levels(archive)
            with archive.open(_DOCUMENT) as handle:
                yield from _read_sections(handle, name, levels)
        except (expat.ExpatError, ElementTree.ParseError) as error:
            raise SourceError(f"is damaged: {error}", where=name) from error


def _read_sections(handle: IO[bytes], name: str, levels: dict[str, int]) -> Iterator[Record]:
    sections = Sections(name)
    for number, (style, text) in enumerate(_Paragraphs().read(handle), start=1):
        level = levels.get(style.lower())
        if level is not None and text.strip():
            yield from sections.heading(level, " ".join(text.removeprefix(_BULLET).split()), number)
        else:
            sections.add(text)
            sections.add("")
    yield from sections.finish()


def _heading_levels(archive: ZipFile) -> dict[str, int]:
    """Level, from 0 for the title, of each style that is a heading, by the style's id in lower case."""
    levels = {f"heading{level}": level for level in range(1, 7)} | {"title": 0}
    if _STYLES not in archive.namelist() or archive.getinfo(_STYLES).file_size > _STYLES_BYTES:
        return levels
    for style in ElementTree.fromstring(archive.read(_STYLES)).iter():
        if not style.tag.endswith("}style"):
            continue
        identifier = _attribute(style, "styleId").lower()
        for part in style.iter():
            value = _attribute(part, "val")
            if part.tag.endswith("}name") and (found := _HEADING_NAME.fullmatch(value)):
                levels[identifier] = int(found[1])
            elif part.tag.endswith("}name") and value.lower() == _TITLE_NAME:
                levels[identifier] = 0
            elif part.tag.endswith("}outlineLvl") and value.isdecimal() and int(value) < 6:
                levels.setdefault(identifier, int(value) + 1)
    return levels


def _attribute(element: ElementTree.Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if key.endswith("}" + name)), "")


class _Paragraphs:
    """Reads the XML of a document in pieces, as (id of the style, text) of each paragraph and row of a table."""

    def __init__(self) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._done: list[tuple[str, str]] = []
        self._style, self._pieces, self._characters = "", list[str](), 0
        self._cells: list[list[str]] = []
        self._tables = 0
        self._in_text = False
        self._left_out = 0

    def read(self, handle: IO[bytes]) -> Iterator[tuple[str, str]]:
        while chunk := handle.read(_CHUNK_BYTES):
            self._parser.Parse(chunk)
            yield from self._done
            self._done.clear()
        self._parser.Parse(b"", True)
        yield from self._done

    def _refuse_doctype(self, *_: object) -> None:
        raise expat.ExpatError("a document type is declared in it, which Word never does")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        local = tag.rpartition(" ")[2]
        if self._left_out or local in _LEFT_OUT:
            self._left_out += 1
        elif _NAMESPACE not in tag:
            return
        elif local == "t":
            self._in_text = True
        elif local == "pStyle":
            self._style = next((value for key, value in attributes.items() if key.endswith(" val")), "")
        elif local in _BREAKS:
            self._add(_BREAKS[local])
        elif local == "numPr":
            self._add(_BULLET)
        elif local == "tbl":
            self._tables += 1
        elif local == "tr" and self._tables == 1:
            self._cells = []
        elif local == "tc" and self._tables == 1:
            self._cells.append([])

    def _end(self, tag: str) -> None:
        local = tag.rpartition(" ")[2]
        if self._left_out:
            self._left_out -= 1
        elif _NAMESPACE not in tag:
            return
        elif local == "t":
            self._in_text = False
        elif local == "p":
            self._end_paragraph()
        elif local == "tbl":
            self._tables -= 1
        elif local == "tr" and self._tables == 1:
            cells = (" ".join(" ".join(cell).split()) for cell in self._cells)
            self._done.append(("", " | ".join(cells)))

    def _end_paragraph(self) -> None:
        text = "".join(self._pieces)
        if self._tables and self._cells:
            self._cells[-1].append(text)
        else:
            self._done.append((self._style, text))
        self._style, self._pieces, self._characters = "", [], 0

    def _text(self, text: str) -> None:
        if self._in_text and not self._left_out:
            self._add(text)

    def _add(self, text: str) -> None:
        """What goes beyond the limit by far is not held: the section is too long already."""
        if self._characters <= 2 * lines.MAX_CHARACTERS:
            self._pieces.append(text)
            self._characters += len(text)
