"""Markdown: one record a section."""

import re
from collections.abc import Iterator
from pathlib import Path

from luthier.core.rows import Origin
from luthier.sources.encoding import open_text
from luthier.sources.records import Record

PATH_SEPARATOR = " > "
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*?)(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")


def read_markdown(path: Path, name: str) -> Iterator[Record]:
    """Sections with text of their own: `title` is the path of headings ("Returns > Refunds"), `body` what follows.

    Text before the first heading has an empty title. Front matter between `---` lines is skipped; a `#` inside a code
    fence is no heading.
    """
    row = 0
    for line, headings, body in _sections(path):
        text = "\n".join(body).strip()
        if text:
            row += 1
            yield Record(Origin(name, row), line, {"title": PATH_SEPARATOR.join(headings), "body": text})


def _sections(path: Path) -> Iterator[tuple[int, list[str], list[str]]]:
    """(line of the heading, path of headings, lines below it) of each section."""
    levels: dict[int, str] = {}
    start, body = 1, list[str]()
    fence = ""
    for number, line in _lines(path):
        heading = None if fence else _heading(line, body)
        if heading is None:
            fence = _fence_after(line, fence)
            body.append(line)
            continue
        level, title, own_lines = heading
        yield start, list(levels.values()), body[: len(body) - own_lines]
        levels = {above: name for above, name in levels.items() if above < level} | {level: title}
        start, body = number - own_lines, []
    yield start, list(levels.values()), body


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    with open_text(path) as handle:
        in_front_matter = False
        for number, raw in enumerate(handle, start=1):
            line = raw.rstrip("\r\n")
            if number == 1 and line == "---":
                in_front_matter = True
            elif in_front_matter:
                in_front_matter = line not in ("---", "...")
            else:
                yield number, line


def _heading(line: str, before: list[str]) -> tuple[int, str, int] | None:
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
