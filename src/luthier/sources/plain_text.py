"""Plain text: one record a conversation, or one a few paragraphs."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from luthier.core.rows import Origin
from luthier.sources import lines
from luthier.sources.encoding import open_text
from luthier.sources.records import Record

_SPEAKER = re.compile(r"[ \t]*(?:\[[^\]\n]{1,40}\][ \t]*)?([^\W\d_][\w .'-]{1,30}?)[ \t]*:(?:\s|$)")
_NO_SPEAKERS = frozenset({"question", "answer", "note", "re", "http", "https"})
_RULE = re.compile(r"[ \t]*([-=*_#~])(?:[ \t]*\1){2,}[ \t]*$")
_SAMPLE_PARAGRAPHS = 200
_GATHERED_CHARACTERS = 2_000
"""Paragraphs are put together up to this length, some 300 words: enough to tell what they are about."""
_LONGEST_PARAGRAPH = 8_000
"""Lines without a blank one between them are divided here, unless they are turns."""


@dataclass(frozen=True, slots=True)
class _Paragraph:
    """Lines without a blank one between them; `apart` if a rule or several blank lines stand before them."""

    line: int
    text: str
    characters: int
    apart: bool


def read_plain_text(path: Path, name: str) -> Iterator[Record]:
    """`text` of each part of the file.

    Lines such as `Customer: …` make a file one of conversations. These are divided at lines of dashes or the like and
    at double blank lines; without any, at single blank lines if most parts hold two speakers, otherwise the file is one
    conversation. Of other files, a record is some paragraphs together, of 2,000 characters or a little less.
    """
    sample = list(islice(_paragraphs(path, _LONGEST_PARAGRAPH), _SAMPLE_PARAGRAPHS))
    if _are_turns(sample):
        divided = any(paragraph.apart for paragraph in sample)
        whole = not divided and not _hold_two_speakers(sample)
        parts = _gathered(
            _paragraphs(path, 2 * lines.MAX_CHARACTERS),
            lambda _, paragraph: not whole and (paragraph.apart or not divided),
        )
    else:
        parts = _gathered(
            _paragraphs(path, _LONGEST_PARAGRAPH),
            lambda characters, paragraph: paragraph.apart or characters + paragraph.characters > _GATHERED_CHARACTERS,
        )
    for row, part in enumerate(parts, start=1):
        yield _record(part, Origin(name, row))


def _record(part: _Paragraph, origin: Origin) -> Record:
    if part.characters > lines.MAX_CHARACTERS:
        start = part.text[: lines.START_CHARACTERS]
        return Record(origin, part.line, {}, lines.too_long("a text"), start, alone=True)
    return Record(origin, part.line, {"text": part.text})


def _paragraphs(path: Path, longest: int) -> Iterator[_Paragraph]:
    """All of them; one of more than `longest` characters is divided between lines."""
    start, apart, characters = 0, False, 0
    found: list[str] = []
    with open_text(path) as handle:
        blank = 0
        for number, line in enumerate(lines.bounded_lines(handle), start=1):
            text, length = (line.start, line.characters) if isinstance(line, lines.LongLine) else (line, len(line))
            rule = length < lines.MAX_CHARACTERS and _RULE.match(text) is not None
            if found and (rule or not text.strip() or characters + length > longest):
                yield _Paragraph(start, "".join(found).strip(), characters, apart)
                found, apart, characters, blank = [], False, 0, 0
            if rule or not text.strip():
                blank += 1
                apart |= rule or blank > 1
                continue
            start = start if found else number
            found.append(text if characters <= lines.MAX_CHARACTERS else "")
            characters += length
    if found:
        yield _Paragraph(start, "".join(found).strip(), characters, apart)


def _gathered(paragraphs: Iterator[_Paragraph], begins_anew: Callable[[int, _Paragraph], bool]) -> Iterator[_Paragraph]:
    """Paragraphs put together until one begins anew, given the characters so far."""
    parts: list[str] = []
    present: _Paragraph | None = None
    for paragraph in paragraphs:
        if present is None or begins_anew(present.characters, paragraph):
            if present is not None:
                yield replace(present, text="\n\n".join(parts))
            present, parts = paragraph, [paragraph.text]
            continue
        if present.characters <= lines.MAX_CHARACTERS:
            parts.append(paragraph.text)
        present = replace(present, characters=present.characters + paragraph.characters + len("\n\n"))
    if present is not None:
        yield replace(present, text="\n\n".join(parts))


def _speakers(text: str) -> list[str]:
    found = (_SPEAKER.match(line) for line in text.splitlines())
    names = (match[1].strip().lower() for match in found if match)
    return [name for name in names if name not in _NO_SPEAKERS]


def _are_turns(sample: Sequence[_Paragraph]) -> bool:
    """Whether at least half of the paragraphs begin with a speaker, and two of these say most of it."""
    speakers = [_speakers(paragraph.text) for paragraph in sample]
    counts = Counter(name for names in speakers for name in names)
    begun = sum(bool(_speakers(paragraph.text.partition("\n")[0])) for paragraph in sample)
    most = sum(count for _, count in counts.most_common(2))
    return len(counts) > 1 and begun * 2 >= len(sample) and most * 2 > counts.total()


def _hold_two_speakers(sample: Sequence[_Paragraph]) -> bool:
    return sum(len(set(_speakers(paragraph.text))) > 1 for paragraph in sample) * 2 > len(sample)
