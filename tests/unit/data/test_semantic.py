"""Rows that say the same are dropped for an earlier row that stays; what only looks the same is not."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from luthier.core.rows import Message, Origin, Row
from luthier.data import semantic
from luthier.data.semantic import Embed, Vectors, request_and_answer, semantic_duplicates

DIMENSION = 24


def text_row(number: int, text: str) -> tuple[int, Row]:
    return number, Row(f"row-{number}", Origin("raw/a.csv", number + 1), text=text)


def chat_row(number: int, asked: str, answered: str, **more: object) -> tuple[int, Row]:
    messages: tuple[Message, ...] = (
        {"role": "system", "content": "You are the shop."},
        {"role": "user", "content": asked},
        {"role": "assistant", "content": answered},
    )
    return number, Row(f"row-{number}", Origin("raw/chats.jsonl", number + 1), messages, **more)  # type: ignore[arg-type]


def embed_by_words(texts: Sequence[str]) -> Vectors:
    """The sum of a fixed random vector of each word, at length 1."""
    sums = [
        np.sum(
            [np.random.default_rng(list(word.encode())).normal(size=DIMENSION) for word in f"begin {text}".split()], 0
        )
        for text in texts
    ]
    return np.array([one / np.linalg.norm(one) for one in sums], np.float32)


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., dict[int, str]]:
    def _find(
        rows: Sequence[tuple[int, Row]], threshold: float = 0.95, embed: Embed = embed_by_words
    ) -> dict[int, str]:
        found = semantic_duplicates(rows, embed, threshold, tmp_path)
        assert list(tmp_path.iterdir()) == [], "the file of vectors is left behind"
        return found

    return _find


Find = Callable[..., dict[int, str]]


def test_remark_names_the_row_that_stays(find: Find) -> None:
    rows = [
        text_row(0, "where is the parcel with my lamp"),
        text_row(4, "do you repair chairs in the shop"),
        text_row(7, "the parcel with my lamp is where"),
    ]
    assert find(rows) == {7: "semantic duplicate: of raw/a.csv row 1, 100% alike"}


@pytest.mark.parametrize(
    ("asked", "answered", "dropped"),
    [
        ("parcel where is my", "on its way it is", True),
        ("where is my parcel", "we have sent you another", False),
        ("can I pay by invoice", "it is on its way", False),
    ],
)
def test_of_a_conversation_both_sides_must_be_alike(find: Find, asked: str, answered: str, dropped: bool) -> None:
    found = find([chat_row(0, "where is my parcel", "it is on its way"), chat_row(1, asked, answered)])
    assert (found == {1: "semantic duplicate: of raw/chats.jsonl row 1, 100% alike"}) is dropped
    assert bool(found) is dropped


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"label": "delivery"}),
        ({"label": "refund"}, {"label": "delivery"}),
        ({"rating": "up"}, {"rating": "down"}),
        ({}, {"rejected": ({"role": "assistant", "content": "no idea"},)}),
        ({}, {"tools": ({"type": "function", "function": {"name": "track"}},)}),
    ],
)
def test_rows_that_teach_something_else_are_kept(
    find: Find, first: dict[str, object], second: dict[str, object]
) -> None:
    asked, answered = "where is my parcel", "it is on its way"
    assert not find([chat_row(0, asked, answered, **first), chat_row(1, asked, answered, **second)])
    assert find([chat_row(0, asked, answered, **second), chat_row(1, asked, answered, **second)])


def test_rows_that_state_other_facts_are_kept(find: Find) -> None:
    same = "refunds take " + "really " * 100
    assert not find([text_row(0, f"{same}5 days"), text_row(1, f"{same}7 days")])
    assert find([text_row(0, f"{same}3 days"), text_row(1, f"{same}three days")])


def test_texts_longer_than_encoders_read_are_not_judged(find: Find) -> None:
    long = "word " * 151
    assert not find([text_row(0, long), text_row(1, long)])
    assert not find([text_row(0, " "), text_row(1, "")])


def test_no_rows_no_duplicates(find: Find) -> None:
    assert find([]) == {}


def planted(seed: int, count: int) -> tuple[list[tuple[int, Row]], Embed, Vectors]:
    """Texts whose vectors lie in tight and loose bunches on both sides of 0.9 and 0.95."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(count // 4, DIMENSION))
    spread = draw.choice([0.02, 0.15, 0.25, 0.4], size=(count, 1))
    vectors = centres[draw.integers(0, len(centres), count)] + spread * draw.normal(size=(count, DIMENSION))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    names = [
        f"text{chr(97 + number // 26**2)}{chr(97 + number // 26 % 26)}{chr(97 + number % 26)}"
        for number in range(count)
    ]
    by_text = dict(zip(names, vectors, strict=True)) | {"": vectors[0]}
    rows = [text_row(number, name) for number, name in enumerate(names)]
    return (
        rows,
        lambda texts: np.array([by_text[text] for text in texts]),
        vectors.astype(np.float16).astype(np.float32),
    )


def greedy(vectors: Vectors, threshold: float) -> set[int]:
    """The rows to drop, found one by one."""
    kept: list[int] = []
    for row in range(len(vectors)):
        if not any(float(vectors[row] @ vectors[other]) >= threshold for other in kept):
            kept.append(row)
    return set(range(len(vectors))) - set(kept)


@pytest.mark.parametrize("block", [7, 64, 4096])
def test_blocks_find_what_comparing_one_by_one_finds(find: Find, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(semantic, "ROWS_PER_BLOCK", block)
    monkeypatch.setattr(semantic, "ROWS_PER_EMBEDDING", 100)
    rows, embed, vectors = planted(3, 400)
    found = find(rows, 0.9, embed)
    assert set(found) == greedy(vectors, 0.9)
    assert 50 < len(found) < 350
    leads = {int(remark.partition(" row ")[2].partition(",")[0]) - 1 for remark in found.values()}
    assert not leads & set(found), "a row went because of one that went itself"


def test_cells_find_nearly_all_and_nothing_more(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic, "EXACT_ROWS", 300)
    monkeypatch.setattr(semantic, "ROWS_PER_CELL", 100)
    monkeypatch.setattr(semantic, "SAMPLED_ROWS_PER_CELL", 50)
    rows, embed, vectors = planted(5, 600)
    found, expected = set(find(rows, 0.95, embed)), greedy(vectors, 0.95)
    assert len(found & expected) >= 0.95 * len(expected)
    for row, remark in find(rows, 0.95, embed).items():
        lead = int(remark.partition(" row ")[2].partition(",")[0]) - 1
        assert lead < row
        assert lead not in found
        assert float(vectors[row] @ vectors[lead]) >= 0.949


def test_request_and_answer_of_many_turns() -> None:
    turns: tuple[Message, ...] = (
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "tool", "content": "c"},
        {"role": "assistant", "content": "d"},
    )
    assert request_and_answer(Row("r", Origin("f", 1), turns)) == ("a\nc", "b\nd")
    assert request_and_answer(Row("r", Origin("f", 1), text="t")) == ("t", "")


def test_the_order_of_the_rows_decides_who_stays(find: Find) -> None:
    texts = ["one two three four", "four three two one", "two one four three"]
    random.Random(1).shuffle(texts)
    assert set(find([text_row(number, text) for number, text in enumerate(texts)])) == {1, 2}
