"""Markdown: one record a section."""

import re
from collections.abc import Iterator
from pathlib import Path

from luthier.sources import lines
from luthier.sources.encoding import open_text
from luthier.sources.records import Record
from luthier.sources.sections import Sections

_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_LONGEST_HEADING = 1_000
"""Characters; a longer line is no heading, whatever it begins with."""


def read_markdown(path: Path, name: str) -> Iterator[Record]:
    """Sections with text of their own: `title` is the path of headings ("Returns > Refunds"), `body` what follows.

    Text before the first heading has an empty title. Front matter between `---` lines is skipped; a `#` inside a code
    fence is no heading.
    """
    sections = Sections(name)
    fence = ""
    before: tuple[str, ...] = ()
    """The last two lines of the section."""
    for number, line in _lines(path):
        if isinstance(line, lines.LongLine):
            sections.add(line)
            before = ()
            continue
        heading = None if fence or len(line) > _LONGEST_HEADING else _heading(line, before)
        if heading is None:
            fence = _fence_after(line, fence)
            sections.add(line)
            before = (*before[-1:], line)
            continue
        level, title, own_lines = heading
        if own_lines:
            sections.take_back()
        yield from sections.heading(level, title, number - own_lines)
        before = ()
    yield from sections.finish()


def _lines(path: Path) -> Iterator[tuple[int, str | lines.LongLine]]:
    with open_text(path) as handle:
        in_front_matter = False
        for number, raw in enumerate(lines.bounded_lines(handle), start=1):
            line = raw if isinstance(raw, lines.LongLine) else raw.rstrip("\r\n")
            if number == 1 and line == "---":
                in_front_matter = True
            elif in_front_matter:
                in_front_matter = line not in ("---", "...")
            else:
                yield number, line


def _heading(line: str, before: tuple[str, ...]) -> tuple[int, str, int] | None:
    """(level, title, lines of `before` that belong to it), for `# Title` and for a title underlined by = or -."""
    if found := _HEADING.match(line):
        return len(found[1]), found[2].strip(), 0
    underlined = before and before[-1].strip() and not re.match(r"\s*([-*+>|]|\d+[.)])", before[-1])
    if underlined and (len(before) == 1 or not before[-2].strip()) and (found := _UNDERLINE.match(line)):
        return (1 if found[1].startswith("=") else 2), before[-1].strip(), 1
    return None


def _fence_after(line: str, fence: str) -> str:
    """The fence that is open after this line, or an empty string."""
    found = _FENCE.match(line)
    if found is None:
        return fence
    if not fence:
        return found[1]
    closes = found[1].startswith(fence) and line.strip() == found[1]
    return "" if closes else fence
