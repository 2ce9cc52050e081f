"""Rows that are too long lose whole exchanges or sentences, no more than they have to."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.errors import TemplateError
from luthier.core.rows import Message, Origin, Role, Row
from luthier.data.over_length import shorten
from luthier.data.reasons import Dropped
from luthier.data.stage import LengthLimit, TokenCounter
from luthier.data.transform import row_id

NAMES: dict[str, Role] = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}


def conversation(*turns: str) -> Row:
    """`u: Where is it?` and the like."""
    return Row("row-1", Origin("raw", 1), tuple(Message(role=NAMES[turn[0]], content=turn[3:]) for turn in turns))


def text(words: str) -> Row:
    return Row("row-1", Origin("raw", 1), text=words)


def count(row: Row) -> int:
    return len(row.plain().split())


def at_most(words: int) -> Callable[[Row], bool]:
    return lambda row: count(row) <= words


def shown(row: Row | None) -> list[str] | None:
    return None if row is None else [f"{message['role'][0]}: {message['content']}" for message in row.messages]


LONG = conversation("s: Be brief.", "u: a a", "a: b b", "u: c c", "a: d", "t: e", "a: f", "u: g", "a: h")


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (12, ["s: Be brief.", "u: c c", "a: d", "t: e", "a: f", "u: g", "a: h"]),
        (9, ["s: Be brief.", "u: c c", "a: d", "t: e", "a: f", "u: g", "a: h"]),
        (8, ["s: Be brief.", "u: g", "a: h"]),
        (4, ["s: Be brief.", "u: g", "a: h"]),
        (3, None),
    ],
)
def test_the_oldest_exchanges_go_whole(words: int, left: list[str] | None) -> None:
    assert shown(shorten(LONG, at_most(words))) == left


def test_a_greeting_before_the_first_question_goes_first() -> None:
    row = conversation("a: hello there", "u: a", "a: b")
    assert shown(shorten(row, at_most(3))) == ["u: a", "a: b"]


def test_one_exchange_is_never_cut() -> None:
    assert shorten(conversation("s: x", "u: a a", "a: b b"), at_most(4)) is None


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (9, "One two. Three four (five). Six?"),
        (6, "One two. Three four (five). Six?"),
        (5, "One two. Three four (five)."),
        (4, "One two. Three four"),
        (2, "One two."),
        (1, "One"),
        (0, None),
    ],
)
def test_text_ends_with_a_sentence_where_that_leaves_half(words: int, left: str | None) -> None:
    row = text("One two. Three four (five). Six?\nSeven eight 9.5 ten.")
    shorter = shorten(row, at_most(words))
    assert (shorter.text if shorter else None) == left


def test_sentences_without_spaces_are_told_apart() -> None:
    shorter = shorten(text("退货免费。我们在三十天内接受退货。谢谢。"), lambda row: len(row.text) <= 18)
    assert shorter is not None
    assert shorter.text == "退货免费。我们在三十天内接受退货。"


def test_numbers_and_addresses_are_not_ends_of_sentences() -> None:
    shorter = shorten(text("It costs 9.50 at shop.example today and more"), at_most(6))
    assert shorter is not None
    assert shorter.text == "It costs 9.50 at shop.example today"


def test_everything_else_about_a_row_stays() -> None:
    row = Row("row-1", Origin("raw", 1), text="One. Two.", groups=("customer_id=1",), label="x", flags=("odd: y",))
    assert shorten(row, at_most(1)) == Row(
        "row-1", Origin("raw", 1), text="One.", groups=("customer_id=1",), label="x", flags=("odd: y",)
    )


@given(st.text(st.sampled_from("ab .?!\n。"), max_size=80).map(str.strip), st.integers(0, 30))
def test_what_is_left_of_a_text_is_its_beginning_and_fits(words: str, most: int) -> None:
    shorter = shorten(text(words), at_most(most))
    if shorter is None:
        return
    assert count(shorter) <= most
    assert shorter.text
    assert words.startswith(shorter.text)
    assert re.match(r"\s|$", words[len(shorter.text) :]) or shorter.text[-1] == "。"


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=8), st.integers(0, 40))
def test_as_many_exchanges_stay_as_fit(lengths: list[tuple[int, int]], most: int) -> None:
    turns = [turn for ask, answer in lengths for turn in (f"u: {'q ' * ask}", f"a: {'r ' * answer}")]
    row = conversation("s: x", *turns)
    fitting = [left for left in range(1, len(lengths)) if 1 + sum(map(sum, lengths[-left:])) <= most]
    shorter = shorten(row, at_most(most))
    assert (len(shorter.messages) - 1 if shorter else 0) == 2 * max(fitting, default=0)


def over(row: Row, limit: int) -> int | None:
    if "template" in row.plain():
        raise TemplateError("roles must alternate")
    return count(row) if count(row) > limit else None


COUNTER = TokenCounter("words", over, lambda row: (count(row), 1))


def test_a_shorter_row_says_so_and_has_an_id_of_its_own() -> None:
    fitted = LengthLimit(8, COUNTER, "truncate").apply(LONG)
    assert isinstance(fitted, Row)
    assert fitted.flags == ("shortened: 13 tokens to 4",)
    assert fitted.id == row_id(fitted) != LONG.id
    assert LengthLimit(8, COUNTER, "truncate").apply(LONG) == fitted


def test_a_row_that_fits_is_the_same_row() -> None:
    assert LengthLimit(13, COUNTER, "truncate").apply(LONG) is LONG


@pytest.mark.parametrize(
    ("limit", "row", "reason"),
    [
        (LengthLimit(8, COUNTER), LONG, "too long: 13 tokens, at most 8"),
        (LengthLimit(3, COUNTER, "truncate"), LONG, "too long: 13 tokens, at most 3"),
        (LengthLimit(3, COUNTER, "truncate"), text("a template"), "template: roles must alternate"),
    ],
)
def test_what_cannot_be_used_has_its_reason(limit: LengthLimit, row: Row, reason: str) -> None:
    assert limit.apply(row) == Dropped((reason,))
