import json
import random
from pathlib import Path

import numpy as np
import pytest

from luthier.core.errors import DatasetError, SourceError
from luthier.core.recipe import DataSection
from luthier.core.rows import Message, Origin, Row
from luthier.data import leakage
from luthier.data.clean import spoken
from luthier.data.leakage import Leak, drop_leaks, find_leaks, rows_of_file, split_leakage
from luthier.data.sketch import comparison_key, word_sets
from luthier.text import words

QUESTION = "How long may I keep a chair before I send it back to you?"
ANSWER = "You may send any chair back within thirty days, free of charge, in its own box."
OTHER = "Do you also deliver to the islands in the north, and what does that cost?"
DATA = DataSection.model_validate({"sources": [{"path": "x.csv"}], "system": "Be brief."})


def chat(*contents: str, number: int = 1, system: str = "") -> Row:
    turns = [
        Message(role="assistant" if place % 2 else "user", content=content) for place, content in enumerate(contents)
    ]
    if system:
        turns.insert(0, Message(role="system", content=system))
    return Row(f"row-{number}", Origin("file", number), tuple(turns))


def plain(text: str) -> Row:
    return Row("row-t", Origin("golden.jsonl", 4), text=text)


def pairs(known: list[Row], held_out: list[Row]) -> list[tuple[int, int]]:
    return [(leak.held_out, leak.known) for leak in find_leaks(enumerate(known), held_out).leaks]


def test_answered_rows_are_compared_whole():
    known = [chat(OTHER, ANSWER), chat(QUESTION, ANSWER, system="Be brief.")]
    assert find_leaks(enumerate(known), [chat(QUESTION.upper(), ANSWER)]).leaks == (Leak(0, 1, 1.0),)
    assert pairs(known, [chat(QUESTION, "No.")]) == []


@pytest.mark.parametrize("question", [plain(QUESTION), chat(QUESTION)])
def test_questions_are_compared_with_each_turn_of_a_customer(question):
    known = [chat(OTHER, ANSWER), chat("Hello there", "Hello. What is it?", QUESTION + " Thanks!", ANSWER)]
    [leak] = find_leaks(enumerate(known), [question]).leaks
    assert (leak.held_out, leak.known) == (0, 1)
    assert leak.likeness == pytest.approx(13 / 14)
    assert pairs([chat(OTHER, QUESTION)], [question]) == [], "what the agent says is no question"


def test_plain_texts_are_compared_with_plain_texts():
    assert pairs([plain(OTHER), plain(QUESTION)], [plain(QUESTION)]) == [(0, 1)]


def test_each_row_of_either_side_that_leaks_is_named():
    known = [plain(QUESTION), plain(QUESTION + " Please."), plain(OTHER)]
    held_out = [plain(QUESTION), plain(OTHER), plain(ANSWER)]
    found = pairs(known, held_out)
    assert {one for one, _ in found} == {0, 1}
    assert {other for _, other in found} == {0, 1, 2}


def test_nothing_to_compare():
    assert find_leaks([], [plain(QUESTION)]).leaks == ()
    assert find_leaks(enumerate([plain(QUESTION)]), []).leaks == ()
    assert find_leaks(enumerate([chat("")]), [plain("")]).leaks == ()


def test_all_leaks_are_found_however_the_known_rows_are_cut(monkeypatch):
    draw = random.Random(2)
    texts = [" ".join(draw.choices("abcdefghij", k=draw.randint(1, 7))) for _ in range(150)]
    known, held_out = [plain(text) for text in texts[:110]], [plain(text) for text in texts[110:]]

    def alike(one: Row, other: Row) -> bool:
        left, right = set(words(one.text)), set(words(other.text))
        return len(left & right) >= 0.8 * len(left | right)

    expected = {
        (number, place) for number, row in enumerate(held_out) for place, other in enumerate(known) if alike(row, other)
    }
    for size in (40, 1_000):
        monkeypatch.setattr(leakage, "_ROWS_AT_ONCE", size)
        found = set(pairs(known, held_out))
        assert found <= expected
        assert {one for one, _ in found} == {one for one, _ in expected}
        assert {other for _, other in found} == {other for _, other in expected}


def test_rows_that_leak_are_dropped_with_the_place_of_what_they_are_like():
    rows = [(3, plain(OTHER)), (8, chat("Hello there", "Hello. What is it?", QUESTION, ANSWER))]
    assert drop_leaks(rows, [plain(QUESTION)]) == {8: "held out: like golden.jsonl row 4, 100% alike"}


def test_leakage_between_splits_is_counted():
    texts = [QUESTION, QUESTION + " Please.", OTHER, ANSWER, OTHER + " Bye."]
    sets = word_sets(map(comparison_key, texts))
    apart = split_leakage(sets, np.array([0, 0, 1, 2, 1], np.int8))
    assert apart == {"complete": True, "found": []}
    mixed = split_leakage(sets, np.array([0, 2, 1, 2, 0], np.int8))
    assert mixed["found"] == [
        {"one": "validation", "other": "train", "rows": 1, "of": 1},
        {"one": "test", "other": "train", "rows": 1, "of": 2},
    ]
    assert split_leakage(sets, np.zeros(5, np.int8)) == {"complete": True, "found": []}


def write(path: Path, *records: dict[str, object]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def test_files_are_read_and_masked_as_sources_are(tmp_path):
    path = write(tmp_path / "old.jsonl", {"prompt": "<p>I am ann@mail.example</p>", "completion": ANSWER})
    [row] = rows_of_file(path, "old.jsonl", DATA, "chat")
    assert spoken(row) == f"I am [EMAIL]\n{ANSWER}"
    assert row.origin == Origin("old.jsonl", 1)


def test_a_file_may_hold_questions_alone(tmp_path):
    golden = write(
        tmp_path / "golden.jsonl",
        {"id": "g1", "question": QUESTION, "facts": ["30 days"], "topic": "returns"},
        {"id": "g2", "question": "", "facts": ["x"], "topic": "returns"},
    )
    [row] = rows_of_file(golden, "golden.jsonl", DATA, "chat")
    assert row.plain() == QUESTION


def test_a_file_without_texts_is_refused(tmp_path):
    with pytest.raises(SourceError, match="cannot tell what the columns are: left, right"):
        rows_of_file(write(tmp_path / "x.jsonl", {"left": "a", "right": "b"}), "x.jsonl", DATA, "chat")
    with pytest.raises(DatasetError, match="holds no row to compare"):
        rows_of_file(write(tmp_path / "y.jsonl", {"text": ""}), "y.jsonl", DATA, "chat")
    with pytest.raises(SourceError, match=r"z\.jsonl"):
        rows_of_file(tmp_path / "z.jsonl", "z.jsonl", DATA, "chat")
