"""What agents say whatever they are asked is found by counting, and goes whole sentences at a time."""

import pickle
import random
from collections.abc import Sequence
from functools import partial

import pytest

from luthier.core.rows import Message, Origin, Row
from luthier.data.boilerplate import Boilerplate, Phrases, find_boilerplate, treat_boilerplate

THANKS = "Thank you for contacting Birch."
MORE = "Is there anything else that I can do for you?"
FOOTER = "Birch Ltd is registered in Leeds.\nThis message is meant for you alone."
NOUNS = ["chair", "table", "lamp", "stool", "shelf", "bench", "desk", "bed", "sofa", "rug", "knife", "board", "bowl"]
VERBS = ["repair", "paint", "fold", "return", "exchange", "collect", "store", "clean", "oil", "fit", "test", "lift"]


def chat(*turns: str, rejected: str = "") -> Row:
    """User and assistant by turns."""
    said: list[Message] = [
        {"role": "assistant" if place % 2 else "user", "content": turn} for place, turn in enumerate(turns)
    ]
    other: tuple[Message, ...] = ({"role": "assistant", "content": rejected},) if rejected else ()
    return Row("", Origin("f", 1), tuple(said), rejected=other)


def varied(count: int, answer: str, seed: int = 0) -> list[Row]:
    """Conversations about many things; `{}` in the answer is what only this one says."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        noun, verb = draw.choice(NOUNS), draw.choice(VERBS)
        asked = f"Could someone {verb} the {noun} {number}?"
        rows.append(chat(asked, answer.format(f"We {verb} every {noun} on day {number}.")))
    return rows


def found(rows: Sequence[Row]) -> dict[tuple[str, str], int]:
    return {(each.edge, each.sentence): each.conversations for each in find_boilerplate(rows)}


def answers(row: Row) -> list[str]:
    return [message["content"] for message in row.messages if message["role"] == "assistant"]


def test_what_recurs_at_either_edge_is_found_and_counted_by_conversation() -> None:
    rows = varied(60, f"{THANKS} {{}} {MORE}\n\n{FOOTER}") + varied(60, "{}", seed=1)
    first, second = FOOTER.split("\n")
    assert found(rows) == {("start", THANKS): 60, ("end", MORE): 60, ("end", first): 60, ("end", second): 60}


@pytest.mark.parametrize("count", [19, 20])
def test_twenty_conversations_make_a_habit(count: int) -> None:
    rows = varied(count, f"{THANKS} {{}}") + varied(100, "{}", seed=1)
    assert bool(found(rows)) is (count == 20)


@pytest.mark.parametrize(("others", "expected"), [(970, True), (1200, False)])
def test_a_small_share_is_no_habit(others: int, expected: bool) -> None:
    assert bool(found(varied(30, f"{THANKS} {{}}") + varied(others, "{}", seed=1))) is expected


@pytest.mark.parametrize(
    "answer",
    [
        "{} In the middle stands the same for all. It is so on day {{}}.",
        "Yes, we are glad to do so. {}",
        "That costs 20 pounds on all days. {}",
        "Sure thing. {}",
        "{} Here is how that works:",
        "{}\n- **Insured by us:** yes",
    ],
)
def test_what_answers_or_announces_is_no_boilerplate(answer: str) -> None:
    rows = [row for number in range(40) for row in varied(1, answer, seed=number)]
    rows = [chat(row.messages[0]["content"], answers(row)[0].replace("{}", str(n))) for n, row in enumerate(rows)]
    assert found(rows) == {}


def test_an_answer_to_a_common_question_is_no_boilerplate() -> None:
    refunds = [chat(f"Is a refund for the {noun} {n} free?", f"Refunds are free of charge. {noun} {n} is yours.")
               for n, noun in enumerate(NOUNS * 4)]  # fmt: skip
    assert found(refunds + varied(200, "{}")) == {}


def test_what_customers_repeat_is_not_looked_at() -> None:
    rows = [chat(f"{THANKS} Where is {noun} {n}?", f"{noun} {n} is here.") for n, noun in enumerate(NOUNS * 4)]
    assert found(rows) == {}
    phrases = Phrases.listed([THANKS])
    assert treat_boilerplate(rows[0], phrases, remove=True) is rows[0]


def test_a_question_that_is_answered_stays() -> None:
    phrases = Phrases.listed([MORE])
    row = chat("Is it late?", f"A little. {MORE}", "And the lamp?", f"It is in time. {MORE}")
    assert answers(treat_boilerplate(row, phrases, remove=True)) == [f"A little. {MORE}", "It is in time."]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"{THANKS} It is here. {MORE}", "It is here."),
        (f"  {THANKS}\n\nIt is here.\n\n--\n{FOOTER}", "It is here."),
        (f"{THANKS.upper()} It is here. {MORE[:-1]}!", "It is here."),
        (f"{THANKS} {THANKS} It is here.", "It is here."),
        (f"It is here. {THANKS} It is blue.", f"It is here. {THANKS} It is blue."),
        (f"{THANKS} {MORE}", f"{THANKS} {MORE}"),
        (f"{THANKS}\n--\n", f"{THANKS}\n--\n"),
        (f"{THANKS[:-1]} about it. It is here.", f"{THANKS[:-1]} about it. It is here."),
        (f"--\nIt is here. {MORE}", "--\nIt is here."),
    ],
)  # fmt: skip
def test_whole_sentences_go_from_the_edges_and_never_all(before: str, after: str) -> None:
    phrases = Phrases.listed([THANKS, MORE, FOOTER])
    row = chat("Where is it?", before)
    treated = treat_boilerplate(row, phrases, remove=True)
    assert answers(treated) == [after]
    assert bool(treated.flags) is (before != after)


def test_each_edge_has_its_own_phrases() -> None:
    phrases = Phrases.found([Boilerplate("thank you for contacting birch", THANKS, "start", 30)])
    row = chat("Where is it?", f"{THANKS} It is here. {THANKS}")
    assert answers(treat_boilerplate(row, phrases, remove=True)) == [f"It is here. {THANKS}"]


def test_flags_name_what_is_there_once_and_shortened() -> None:
    long = "This message and all that hangs on it is meant for its reader and for nobody else in the world."
    phrases = Phrases.listed([THANKS, long])
    row = chat("Where?", f"{THANKS} Here. {long}", "When?", f"{THANKS} Now.")
    flagged = treat_boilerplate(row, phrases, remove=False)
    assert flagged.messages == row.messages
    assert flagged.flags == (f'boilerplate: "{THANKS}", "{long[:60]}…"',)
    assert treat_boilerplate(row, phrases, remove=True).flags == (f'boilerplate removed: "{THANKS}", "{long[:60]}…"',)


def test_both_answers_of_a_pair_are_treated_alike() -> None:
    phrases = Phrases.listed([THANKS])
    row = chat("Where?", f"{THANKS} Here it is.", rejected=f"{THANKS} No idea.")
    treated = treat_boilerplate(row, phrases, remove=True)
    assert (answers(treated), treated.rejected[0]["content"]) == (["Here it is."], "No idea.")
    told_apart = chat("Where?", f"{THANKS} Here it is.", rejected="Here it is.")
    assert treat_boilerplate(told_apart, phrases, remove=True) is told_apart


def test_what_is_shown_is_masked_and_still_found() -> None:
    rows = varied(40, "{} Write to ann@birch.example for more.")
    every = find_boilerplate(rows, lambda sentence: sentence.replace("ann@birch.example", "[EMAIL]"))
    assert [each.to_json() for each in every] == [
        {"sentence": "Write to [EMAIL] for more.", "edge": "end", "conversations": 40}
    ]
    treated = treat_boilerplate(rows[0], Phrases.found(every), remove=True)
    assert treated.flags == ('boilerplate removed: "Write to [EMAIL] for more."',)


def test_the_step_travels_to_other_processes() -> None:
    step = partial(treat_boilerplate, phrases=Phrases.listed([THANKS]), remove=True)
    row = chat("Where?", f"{THANKS} Here.")
    assert pickle.loads(pickle.dumps(step))(row) == step(row)


def test_no_conversation_no_boilerplate() -> None:
    assert find_boilerplate([]) == []
    assert find_boilerplate([Row("", Origin("f", 1), text=THANKS)] * 50) == []
