from collections import Counter

import pytest

from luthier.core.recipe import CleanSection, RedactSection
from luthier.core.rows import Message, Origin, Row
from luthier.data.clean import cleaning_steps, in_languages, mend_row, run_steps
from luthier.data.reasons import Dropped
from luthier.data.redaction import redact_row, redact_value

ORIGIN = Origin("t.csv", 1)


def chat(*pairs: tuple[str, str]) -> Row:
    messages = tuple(Message(role=role, content=content) for role, content in pairs)  # type: ignore[typeddict-item]
    return Row("", ORIGIN, messages)


def said(row: Row) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row.messages]


def test_people_s_turns_lose_html_and_mail_and_tools_do_not() -> None:
    row = chat(
        ("user", "<p>Iâ€™m late</p>\n\nSent from my iPhone"),
        ("tool", "<b>raw</b>\n> kept"),
        ("assistant", "No problem.\n\n--\nNell"),
    )
    assert said(mend_row(row)) == [("user", "I’m late"), ("tool", "<b>raw</b>\n> kept"), ("assistant", "No problem.")]


def test_tags_stay_where_they_are_the_subject() -> None:
    row = chat(("user", "How do I write a heading in HTML?"), ("assistant", "Like this: <h1>Title</h1>"))
    assert mend_row(row) == row


def test_quotes_stay_in_plain_text() -> None:
    assert mend_row(Row("", ORIGIN, text="> a wise saying")).text == "> a wise saying"


def test_all_reasons_are_kept() -> None:
    steps = cleaning_steps(CleanSection(min_words=30, languages=("en",)), "")
    cleaned = run_steps(chat(("user", "Wo ist meine Bestellung geblieben?"), ("user", "Bitte antworten")), steps)
    assert [reason.partition(":")[0] for reason in cleaned.reasons] == ["no assistant turn", "too short", "language"]


def test_a_good_row_is_mended_masked_and_prompted() -> None:
    steps = cleaning_steps(
        CleanSection(redact=RedactSection(keep=("help@shop.example",))), "Write to help@shop.example."
    )
    row = chat(("system", "old"), ("user", "I am ann@mail.example, call 07700 900123"), ("assistant", "Thanks"))
    cleaned = run_steps(row, steps)
    assert cleaned.reasons == ()
    assert said(cleaned.row) == [
        ("system", "Write to help@shop.example."),
        ("user", "I am [EMAIL], call [PHONE]"),
        ("assistant", "Thanks"),
    ]


def test_words_of_the_system_prompt_do_not_count() -> None:
    steps = cleaning_steps(CleanSection(min_words=3), "a long prompt of many words")
    assert run_steps(chat(("user", "hi"), ("assistant", "yo")), steps).reasons == (
        "too short: 2 words, at least 3 wanted",
    )


def test_rows_of_too_many_words_are_dropped_and_the_limit_itself_passes() -> None:
    row = chat(("system", "of no account"), ("user", "one two three"), ("assistant", "four, five"))
    assert run_steps(row, cleaning_steps(CleanSection(max_words=5), "")).reasons == ()
    assert run_steps(row, cleaning_steps(CleanSection(max_words=4), "")).reasons == (
        "too many words: 5 words, at most 4 wanted",
    )


def test_nothing_left_after_cleaning() -> None:
    cleaned = run_steps(Row("", ORIGIN, text="<br>"), cleaning_steps(CleanSection(), ""))
    assert cleaned.reasons[0] == "missing value: nothing left after cleaning"


def test_the_language_is_judged_on_the_whole_conversation() -> None:
    row = chat(("user", "Bonjour, merci"), ("assistant", "Hello! How may I help you with your order today?"))
    assert in_languages(row, ["en"]) == row
    assert in_languages(row, []) == row
    french = chat(("user", "Bonjour, où est ma commande ?"), ("assistant", "Elle arrive demain matin, madame."))
    assert in_languages(french, ["en", "de"]) == Dropped(("language: looks like fr, wanted en, de",))


def test_masking_can_be_turned_off() -> None:
    row = chat(("user", "ann@mail.example"), ("assistant", "ok"))
    assert redact_row(row, None) == row
    assert redact_value({"a": "ann@mail.example"}, None, Counter()) == {"a": "ann@mail.example"}


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        ({"phone": "7700900123", "order_id": "7700900123"}, {"phone": "[PHONE]", "order_id": "7700900123"}),
        ({"phone": 7700900123, "n": 3, "ok": True}, {"phone": "[PHONE]", "n": 3, "ok": True}),
        ([{"from": "x", "value": "to ann@mail.example"}], [{"from": "x", "value": "to [EMAIL]"}]),
        ("plain ann@mail.example", "plain [EMAIL]"),
        (None, None),
    ],
)
def test_records_are_masked_at_any_depth(value: object, masked: object) -> None:
    counts: Counter[str] = Counter()
    assert redact_value(value, RedactSection(), counts) == masked
    assert counts.total() == (value != masked)
