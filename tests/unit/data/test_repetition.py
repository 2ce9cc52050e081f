import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.recipe import CleanSection
from luthier.core.rows import Message, Origin, Row
from luthier.data.clean import cleaning_steps, run_steps
from luthier.data.reasons import Dropped
from luthier.data.repetition import (
    MIN_WORDS,
    MOST_IN_DUPLICATE_NGRAMS,
    MOST_IN_TOP_NGRAM,
    find_repetition,
    first_excess,
    is_plainly_varied,
    not_repetitive,
)

LINES = {
    "duplicate lines": 0.3,
    "duplicate paragraphs": 0.3,
    "characters in duplicate lines": 0.2,
    "characters in duplicate paragraphs": 0.2,
}


def varied(count: int, first: int = 0) -> str:
    return " ".join(f"w{number}" for number in range(first, first + count))


def filled(text: str) -> str:
    """The text with as many other words, or more, as make it long enough to be judged."""
    return f"{text}\n{varied(MIN_WORDS, 1000)}"


def covered(words: Sequence[str], places: Sequence[int], size: int) -> int:
    return sum(len(words[place]) for place in {place + step for place in places for step in range(size)})


def shares_word_by_word(text: str) -> dict[str, float]:
    """The rules on runs of words as the paper words them, without any thought of speed."""
    words = text.split()
    total = sum(map(len, words))
    shares = {}
    for size in (*MOST_IN_TOP_NGRAM, *MOST_IN_DUPLICATE_NGRAMS):
        runs = [tuple(words[place : place + size]) for place in range(len(words) - size + 1)]
        places = {run: [place for place, other in enumerate(runs) if other == run] for run in runs}
        if size in MOST_IN_TOP_NGRAM:
            most = max(Counter(runs).values(), default=0)
            top = [covered(words, found, size) for found in places.values() if len(found) == most > 1]
            shares[f"characters in the most frequent {size}-gram"] = max(top, default=0) / total
        else:
            later = [place for found in places.values() for place in found[1:]]
            shares[f"characters in duplicate {size}-grams"] = covered(words, later, size) / total
    return shares


@st.composite
def small_vocabulary_texts(draw: st.DrawFn) -> str:
    """Texts that repeat themselves more or less, of some lines and paragraphs."""
    choose = draw(st.randoms(use_true_random=False))
    vocabulary = draw(st.sampled_from([2, 5, 20, 60, 200, 1000]))
    count = draw(st.integers(MIN_WORDS, 160))
    ends = [" "] * draw(st.integers(1, 40)) + ["\n", "\n\n"]
    words = [f"{choose.randrange(vocabulary):x}" * choose.randint(1, 2) for _ in range(count)]
    copied = draw(st.integers(0, 30))
    begin, place = choose.randrange(count), choose.randrange(count)
    words[place:place] = words[begin : begin + copied]
    return "".join(word + choose.choice(ends) for word in words)


@given(small_vocabulary_texts())
def test_the_quick_look_never_hides_what_a_rule_finds(text: str) -> None:
    assert find_repetition(text) == first_excess(text, text.split())


def test_the_quick_look_spares_varied_texts_and_no_others() -> None:
    texts = [varied(100), " ".join(f"w{number % 70}" for number in range(100))]
    assert [is_plainly_varied(text, text.split()) for text in texts] == [True, False]


@given(small_vocabulary_texts())
def test_shares_are_those_of_the_paper(text: str) -> None:
    excess = first_excess(text, text.split())
    if excess is not None and excess.rule in LINES:
        return
    shares = shares_word_by_word(text)
    limits = [*MOST_IN_TOP_NGRAM.values(), *MOST_IN_DUPLICATE_NGRAMS.values()]
    broken = [(rule, share) for (rule, share), limit in zip(shares.items(), limits, strict=True) if share > limit]
    assert (broken[0] if broken else None) == (excess and (excess.rule, pytest.approx(excess.share)))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("\n".join(["a b", *["c d"] * 20, *(f"e{n}" for n in range(24)), varied(60)]), "duplicate lines"),
        ("\n\n".join(["a b", *["c\nd"] * 20, *(f"e\n{n}" for n in range(24)), varied(60)]), "duplicate lines"),
        ("\n".join([*["Terms apply, as on every page of ours, see below."] * 12, *map(str, range(40)), varied(30)]),
         "characters in duplicate lines"),
        ("how do I " * 30, "characters in the most frequent 2-gram"),
        (filled("please help now quickly " * 20), "characters in the most frequent 2-gram"),
        (f"{varied(40)} {varied(60)}", "characters in duplicate 5-grams"),
        (f"{varied(12, 100)} {varied(12, 100)} {varied(86, 200)}", "characters in duplicate 10-grams"),
    ],
)  # fmt: skip
def test_the_rule_that_is_broken_is_named(text: str, rule: str) -> None:
    excess = find_repetition(text)
    assert excess is not None
    assert excess.rule == rule
    assert excess.share > excess.limit


@pytest.mark.parametrize(
    "text",
    [
        "",
        "how do I " * 24,  # too short to be judged
        varied(200),
        filled("```\n" + "}\n" * 3 + "x = 1\n" * 50 + "```"),
        filled("```\n" + "x = 1\n" * 50),
        varied(60) + "\n}\n" * 30 + varied(60, 60),
        "他说" * 500,
    ],
)
def test_varied_short_and_fenced_texts_pass(text: str) -> None:
    assert find_repetition(text) is None


def test_copies_of_a_long_text_count_after_the_first() -> None:
    once, draw = varied(300), random.Random(1)
    for size in (30, 60):
        begin = draw.randrange(200)
        text = f"{once} {' '.join(once.split()[begin : begin + size])}"
        assert (find_repetition(text) is not None) == (size == 60)


def test_turns_are_judged_one_by_one_and_only_those_that_people_and_assistants_speak() -> None:
    question, loop = varied(80), "la la " * 60
    turns = [("system", loop), ("user", question), ("tool", loop), ("assistant", "Yes."), ("user", question)]
    messages = tuple(Message(role=role, content=content) for role, content in turns)  # type: ignore[typeddict-item]
    row = Row("", Origin("t.csv", 1), messages, rejected=(Message(role="assistant", content=loop),))
    assert not_repetitive(row) is row
    stuck = Row("", Origin("t.csv", 1), (*messages, Message(role="assistant", content=loop)))
    assert not_repetitive(stuck) == Dropped(("repetition: characters in the most frequent 2-gram 100.0%, at most 20%",))


def test_the_recipe_turns_it_on_and_masks_are_no_repetition() -> None:
    people = "\n".join(f"{name}{number}: {name}{number}@mail.example" for number, name in enumerate(["ann"] * 80))
    loop = Row("", Origin("t.csv", 1), text="la la " * 60)
    steps = cleaning_steps(CleanSection(repetition=True), "")
    assert run_steps(Row("", Origin("t.csv", 1), text=people), steps).reasons == ()
    assert [reason.partition(":")[0] for reason in run_steps(loop, steps).reasons] == ["repetition"]
    assert run_steps(loop, cleaning_steps(CleanSection(), "")).reasons == ()
