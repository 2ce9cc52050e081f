"""A section has the text below its heading and the path of headings above it."""

import pytest

from luthier.sources import lines
from luthier.sources.records import Record
from luthier.sources.sections import Sections


def read(*parts: str | tuple[int, str]) -> list[Record]:
    """Lines and (level, title) of headings, each at the place where it stands."""
    sections, records = Sections("book.md"), []
    for place, part in enumerate(parts, start=1):
        if isinstance(part, tuple):
            records += sections.heading(*part, place)
        else:
            sections.add(part)
    return [*records, *sections.finish()]


def test_paths_of_headings() -> None:
    records = read(
        "before",
        (1, "Returns"),
        (2, "Refunds"),
        "in 5 days",
        (3, "Cards"),
        "sooner",
        (2, "Parcels"),
        "free",
        (1, "Help"),
        "call",
    )
    assert [(record.fields["title"], record.fields["body"]) for record in records] == [
        ("", "before"),
        ("Returns > Refunds", "in 5 days"),
        ("Returns > Refunds > Cards", "sooner"),
        ("Returns > Parcels", "free"),
        ("Help", "call"),
    ]
    assert [(record.origin.row, record.line) for record in records] == [(1, 1), (2, 3), (3, 5), (4, 7), (5, 9)]


def test_a_level_that_is_left_out_is_no_fault() -> None:
    [first, second] = read((3, "Deep"), "a", (2, "Up"), "b")
    assert (first.fields["title"], second.fields["title"]) == ("Deep", "Up")


def test_sections_without_text_give_nothing() -> None:
    assert read() == []
    assert read((1, "A"), "", "  ", (2, "B")) == []


def test_inner_blank_lines_stay_and_outer_ones_go() -> None:
    [record] = read("", "one", "", "two", " ")
    assert record.fields["body"] == "one\n\ntwo"


def test_a_line_can_be_taken_back() -> None:
    sections = Sections("a")
    sections.add("stays")
    sections.add("a title")
    sections.take_back()
    [record] = sections.heading(1, "a title", 3)
    assert record.fields["body"] == "stays"
    assert list(sections.finish()) == []


def test_a_section_that_is_too_long_is_told_alone_and_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 20)
    monkeypatch.setattr(lines, "START_CHARACTERS", 5)
    [long, short] = read((1, "A"), "0123456789", "0123456789", "0123456789", (1, "B"), "fits")
    assert (long.fields, long.error, long.text, long.alone) == (
        {},
        "a section of more than 20 characters",
        "01234",
        True,
    )
    assert (short.fields["body"], short.origin.row, short.error) == ("fits", 2, None)


def test_one_long_line_makes_a_section_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 20)
    sections = Sections("a")
    sections.add(lines.LongLine("start", 10**9, 0))
    [record] = sections.finish()
    assert (record.text, record.alone) == ("start", True)
