from pathlib import Path

import pytest

from luthier.sources import Record, lines
from luthier.sources.plain_text import read_plain_text


def records(folder: Path, text: str) -> list[Record]:
    path = folder / "t.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return list(read_plain_text(path, "t.txt"))


def texts(folder: Path, text: str) -> list[object]:
    return [record.fields["text"] for record in records(folder, text)]


def test_one_conversation_with_blank_lines_between_its_turns(tmp_path: Path) -> None:
    text = "Customer: Where is it?\n\nAgent: On its way.\nIt left today.\n\nCustomer: Thanks!\n\nAgent: Bye.\n"
    assert texts(tmp_path, text) == [text.strip()]


def test_conversations_apart_by_blank_lines(tmp_path: Path) -> None:
    one, two = "user: Hi\nassistant: Hello", "user: Bye\nassistant: See you"
    assert texts(tmp_path, f"{one}\r\n\r\n{two}\r\n".replace("\r\n", "\n")) == [one, two]


@pytest.mark.parametrize("divider", ["\n\n-----\n\n", "\n\n\n", "\n=====\n"])
def test_conversations_apart_by_rules_or_more_blank_lines(tmp_path: Path, divider: str) -> None:
    one, two = "Anna Smith: Hi\n\nBen: Hello", "Anna Smith: Bye\n\nBen: See you"
    assert texts(tmp_path, f"{one}{divider}{two}\n") == [one, two]


def test_paragraphs_are_gathered(tmp_path: Path) -> None:
    paragraphs = [f"{number} " + "word " * 120 for number in range(9)]
    found = records(tmp_path, "\n\n".join(paragraphs))
    assert [str(record.fields["text"]).count("\n\n") + 1 for record in found] == [3, 3, 3]
    assert [record.line for record in found] == [1, 7, 13]
    assert [record.origin.row for record in found] == [1, 2, 3]


def test_questions_and_notes_are_no_conversation(tmp_path: Path) -> None:
    text = "Question: When?\nAnswer: Today.\n\nNote: or tomorrow"
    assert texts(tmp_path, text) == [text]


def test_a_text_without_paragraphs_is_divided_between_lines(tmp_path: Path) -> None:
    line = "A sentence of some length stands on each line.\n"
    found = texts(tmp_path, line * 1000)
    assert len(found) > 4
    assert "\n".join(map(str, found)) == (line * 1000).strip()


def test_a_line_that_is_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_CHARACTERS", 3_000)
    before, long, after = records(tmp_path, f"Before.\n\n{'x' * 9_000}\n\nAfter.\n")
    assert (before.fields["text"], after.fields["text"]) == ("Before.", "After.")
    assert long.error == "a text of more than 3,000 characters"
    assert long.text == "x" * 1_000
    assert (long.alone, long.line) == (True, 3)
