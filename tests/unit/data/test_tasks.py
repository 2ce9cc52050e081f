import pytest

from luthier.core.recipe import CleanSection, Task
from luthier.core.rows import Message, Origin, Row, ToolCall
from luthier.data.clean import cleaning_steps, run_steps
from luthier.data.reasons import Dropped
from luthier.data.tasks import fit_task

ORIGIN = Origin("a.jsonl", 1)
SYSTEM: Message = {"role": "system", "content": "Be kind."}
ASK: Message = {"role": "user", "content": "Is the shop open today?"}
ANSWER: Message = {"role": "assistant", "content": "Yes, from nine to five."}
AGAIN: Message = {"role": "user", "content": "And on Sunday?"}
LAST: Message = {"role": "assistant", "content": "No, we are closed."}
BAD: Message = {"role": "assistant", "content": "Go away."}
CALL: ToolCall = {"type": "function", "function": {"name": "hours", "arguments": {"mail": "jo@mail.example"}}}
CALLING: Message = {"role": "assistant", "content": "", "tool_calls": [CALL]}
TALK = Row("", ORIGIN, (SYSTEM, ASK, ANSWER, AGAIN, LAST))
LABELLED = Row("", ORIGIN, text="where is my card", label="card_arrival")
PLAIN = Row("", ORIGIN, text="The shop is open.")
PAIR = Row("", ORIGIN, (ASK, ANSWER), rejected=(BAD,))
UP, DOWN = (Row("", ORIGIN, (ASK, ANSWER), rating=rating) for rating in ("up", "down"))  # type: ignore[arg-type]


def messages(row: Row | Dropped) -> list[tuple[str, str]]:
    assert isinstance(row, Row)
    return [(message["role"], message["content"]) for message in row.messages]


def test_chat_takes_conversations_and_texts_as_they_are() -> None:
    assert fit_task(TALK, "chat") == TALK
    assert fit_task(PLAIN, "chat") == PLAIN
    assert fit_task(UP, "chat") == UP


def test_chat_asks_for_the_label_of_a_text() -> None:
    row = fit_task(LABELLED, "chat")
    assert messages(row) == [("user", "where is my card"), ("assistant", "card_arrival")]
    assert isinstance(row, Row)
    assert (row.label, row.text) == ("card_arrival", "")


def test_chat_learns_what_people_liked() -> None:
    assert fit_task(DOWN, "chat") == Dropped(("rated down",))
    row = fit_task(PAIR, "chat")
    assert isinstance(row, Row)
    assert (row.messages, row.rejected) == (PAIR.messages, ())


def test_a_completion_follows_all_that_was_said_before() -> None:
    assert messages(fit_task(TALK, "completion")) == [
        ("system", "Be kind."),
        ("user", "Is the shop open today?\nYes, from nine to five.\nAnd on Sunday?"),
        ("assistant", "No, we are closed."),
    ]
    assert fit_task(PLAIN, "completion") == PLAIN


def test_seq2seq_takes_the_last_request_and_its_answer() -> None:
    assert messages(fit_task(TALK, "seq2seq")) == [
        ("system", "Be kind."),
        ("user", "And on Sunday?"),
        ("assistant", "No, we are closed."),
    ]
    parts = Row("", ORIGIN, (ASK, ANSWER, ASK, AGAIN, ANSWER, LAST, AGAIN))
    assert messages(fit_task(parts, "seq2seq")) == [
        ("user", "Is the shop open today?\nAnd on Sunday?"),
        ("assistant", "Yes, from nine to five.\nNo, we are closed."),
    ]
    assert fit_task(PLAIN, "seq2seq") == Dropped(("no request: plain text",))
    tool: Message = {"role": "tool", "content": "7"}
    assert isinstance(fit_task(Row("", ORIGIN, (ASK, ANSWER, tool, LAST)), "seq2seq"), Dropped)


@pytest.mark.parametrize("task", ["completion", "seq2seq"])
def test_only_chat_takes_tool_calls(task: Task) -> None:
    row = Row("", ORIGIN, (ASK, CALLING, ANSWER))
    assert fit_task(row, task) == Dropped(("tool calls: only chat rows can have them",))
    assert fit_task(row, "chat") == row


def test_classification_needs_a_label() -> None:
    assert fit_task(LABELLED, "classification") == LABELLED
    assert fit_task(TALK, "classification") == Dropped(("no label",))
    talk = fit_task(Row("", ORIGIN, (ASK, ANSWER), label="hours"), "classification")
    assert isinstance(talk, Row)
    assert (talk.messages, talk.text) == ((), "Is the shop open today?\nYes, from nine to five.")


def test_preference_needs_a_judgement() -> None:
    for row in (PAIR, UP, DOWN):
        assert fit_task(row, "preference") == row
    assert fit_task(TALK, "preference") == Dropped(("no preference: neither rejected answer nor rating",))


def cleaned(row: Row, task: Task, system: str = "") -> tuple[Row, tuple[str, ...]]:
    result = run_steps(row, cleaning_steps(CleanSection(min_words=2), system, task))
    return result.row, result.reasons


def test_a_label_is_asked_for_under_the_prompt_of_the_recipe() -> None:
    row, reasons = cleaned(LABELLED, "chat", "Name the intent.")
    assert not reasons
    assert [message["role"] for message in row.messages] == ["system", "user", "assistant"]


def test_rejected_answers_are_mended_settled_and_masked_like_chosen_ones() -> None:
    rejected: Message = {"role": "assistant", "content": "<p>Write to jo@mail.example</p> "}
    row, reasons = cleaned(Row("", ORIGIN, (ASK, ANSWER, LAST), rejected=(rejected,)), "preference", "Be kind.")
    assert not reasons
    joined = "Yes, from nine to five."
    assert row.messages[-1]["content"] == f"{joined}\nNo, we are closed."
    assert row.rejected == ({"role": "assistant", "content": f"{joined}\nWrite to [EMAIL]"},)


def test_a_pair_that_cleaning_makes_equal_goes() -> None:
    rejected: Message = {"role": "assistant", "content": f"<p>{ANSWER['content']}</p>"}
    _, reasons = cleaned(Row("", ORIGIN, (ASK, ANSWER), rejected=(rejected,)), "preference")
    assert reasons == ("no preference: nothing is left to tell the answers apart",)


def test_arguments_of_calls_are_masked_by_their_names() -> None:
    row, reasons = cleaned(Row("", ORIGIN, (ASK, CALLING, ANSWER)), "chat")
    assert not reasons
    assert row.messages[1]["tool_calls"][0]["function"] == {"name": "hours", "arguments": {"mail": "[EMAIL]"}}


def test_a_conversation_without_an_answer_has_one_reason() -> None:
    for task in ("chat", "completion", "seq2seq"):
        assert cleaned(Row("", ORIGIN, (ASK, AGAIN)), task)[1] == ("no assistant turn",)  # type: ignore[arg-type]
