import pytest

from luthier.core.errors import SourceError
from luthier.core.recipe import SourceSection
from luthier.data.layout import Layout, resolve_layout
from luthier.data.reasons import Dropped

TURNS = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
GROUP_BY = ("conversation_id", "customer_id")


def resolve(*samples: dict[str, object], **section: object) -> Layout:
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    source = SourceSection.model_validate({"path": "t.csv", **section})
    return resolve_layout(source, names, samples, GROUP_BY)


@pytest.mark.parametrize(
    ("sample", "layout"),
    [
        ({"messages": TURNS, "id": 1}, Layout("messages", {"messages": "messages"})),
        ({"reward": 0.5, "traj": TURNS, "services": ["a"]}, Layout("messages", {"messages": "traj"})),
        (
            {"conversations": [{"from": "human", "value": "Q"}], "tools": "[]"},
            Layout("sharegpt", {"conversations": "conversations", "tools": "tools"}),
        ),
        (
            {"Instruction": "Q", "input": "", "output": "A"},
            Layout("alpaca", {"instruction": "Instruction", "output": "output", "input": "input"}),
        ),
        (
            {"prompt": "Q", "response": "A", "system": "S"},
            Layout("prompt_completion", {"prompt": "prompt", "completion": "response", "system": "system"}),
        ),
        ({"body": "Q", "reply": "A"}, Layout("prompt_completion", {"prompt": "body", "completion": "reply"})),
        ({"question": "Q", "answer": "A"}, Layout("question_answer", {"question": "question", "answer": "answer"})),
        ({"id": "7", "shown": "user: Q\nassistant: A"}, Layout("transcript", {"text": "shown"})),
        ({"text": "words", "colour": "x"}, Layout("text", {"text": "text"})),
        ({"text": "words", "category": "x"}, Layout("labelled", {"text": "text", "label": "category"})),
        (
            {"utterance": "words", "intent": "x", "category": "Y"},
            Layout("labelled", {"text": "utterance", "label": "intent"}),
        ),
        (
            {"conversations": TURNS[:1], "chosen": TURNS[1], "rejected": {"from": "gpt", "value": "no"}},
            Layout("preference", {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"}),
        ),
        ({"messages": TURNS, "label": True}, Layout("thumbs", {"messages": "messages", "label": "label"})),
        ({"messages": TURNS, "label": "billing"}, Layout("messages", {"messages": "messages", "label": "label"})),
        (
            {"prompt": "Q", "completion": "A", "label": "0"},
            Layout("thumbs", {"prompt": "prompt", "completion": "completion", "label": "label"}),
        ),
        (
            {"instruction": "Q", "input": "", "output": "A", "kto_tag": False},
            Layout("thumbs", {"instruction": "instruction", "input": "input", "output": "output", "label": "kto_tag"}),
        ),
        ({"title": "T", "body": "words"}, Layout("text", {"text": "body", "title": "title"})),
        ({"anything": "words", "count": 3}, Layout("text", {"text": "anything"})),
    ],
)
def test_detects(sample: dict[str, object], layout: Layout) -> None:
    assert resolve(sample) == layout


def test_the_mapping_decides_the_format() -> None:
    sample: dict[str, object] = {"utterance": "cancel it", "intent": "cancel", "question": "x", "answer": "y"}
    as_pairs = resolve(sample, columns={"prompt": "utterance", "completion": "intent"})
    assert as_pairs == Layout("prompt_completion", {"prompt": "utterance", "completion": "intent"})
    assert resolve(sample, columns={"text": "utterance"}) == Layout("text", {"text": "utterance"})
    assert as_pairs.read({"utterance": "Q", "intent": "A"}) == resolve({"prompt": "Q", "completion": "A"}).read(
        {"prompt": "Q", "completion": "A"}
    )


def test_the_format_of_the_recipe_is_taken_at_its_word() -> None:
    sample: dict[str, object] = {"text": "no turns here", "b": "c"}
    assert resolve(sample, format="transcript", columns={"text": "text"}).format == "transcript"


def test_groups_are_read_from_mapped_columns() -> None:
    sample: dict[str, object] = {"text": "words", "Kunde": "C1", "conversation_id": ""}
    layout = resolve(sample, columns={"customer_id": "Kunde"})
    assert layout.format == "text"
    assert layout.groups(sample, GROUP_BY) == (("customer_id", "C1"),)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"columns": {"prompt": "utterence", "completion": "intent"}},
            "t.csv: no column 'utterence' for prompt (did you mean utterance? columns there are: utterance, intent)",
        ),
        (
            {"columns": {"promt": "utterance"}},
            "t.csv: columns: unknown name 'promt' (did you mean prompt? allowed: ",
        ),
        (
            {"format": "alpaca", "columns": {"instruction": "utterance"}},
            "t.csv: format alpaca needs output (name them under columns; columns there are: utterance, intent)",
        ),
        ({"format": "text", "columns": {"prompt": "utterance"}}, "t.csv: columns: unknown name 'prompt' ("),
        (
            {"columns": {"customer_id": "intent"}, "format": "messages"},
            "t.csv: format messages needs messages (name them under columns; columns there are: utterance, intent)",
        ),
    ],
)
def test_faults_name_the_file_the_column_and_what_there_is(section: dict[str, object], message: str) -> None:
    with pytest.raises(SourceError) as refusal:
        resolve({"utterance": "cancel it", "intent": "cancel"}, **section)
    assert str(refusal.value).startswith(message)


def test_an_unknown_layout_lists_the_columns_and_the_formats() -> None:
    with pytest.raises(SourceError, match=r"t\.csv: cannot tell what the columns are: one, two \(map them, .*labelled"):
        resolve({"one": "cancel it", "two": "cancel"})


def test_labels_come_again_and_are_short() -> None:
    texts = [{"text": f"words {number}", "topic": f"topic {number}"} for number in range(30)]
    assert resolve(*texts).format == "text"
    assert resolve(*({**text, "topic": "one"} for text in texts)).format == "labelled"
    assert resolve({"text": "words", "topic": "many words " * 20}).format == "text"
    assert resolve(*texts, columns={"text": "text", "label": "topic"}).format == "labelled"


def test_records_of_another_shape_in_the_same_file_are_read_too() -> None:
    pair: dict[str, object] = {"prompt": "Q", "completion": "A"}
    half: dict[str, object] = {"prompt": "Q", "completion": ""}
    layout = resolve({"messages": TURNS}, pair, {"messages": None, **pair}, {"other": "words"})
    assert layout.shown == "messages + prompt_completion"
    conversation = layout.read({"messages": TURNS})
    assert layout.read(pair) == layout.read({"messages": None, **pair}) == conversation
    assert layout.read(half) == layout.read({"other": "words"}) == Dropped(("missing value: messages is empty",))


def test_a_shape_of_few_records_is_a_fault_of_theirs() -> None:
    many = [{"messages": TURNS}] * 30
    layout = resolve(*many, {"prompt": "Q", "completion": "A"})
    assert layout.shown == "messages"
    assert layout.read({"prompt": "Q"}) == Dropped(("missing value: messages is empty",))


def test_a_record_that_lacks_some_fields_is_not_taken_for_another_shape() -> None:
    full: dict[str, object] = {"body": "Q", "reply": "A", "category": "x"}
    layout = resolve(full, {**full, "reply": ""})
    assert layout.shown == "prompt_completion"
    assert layout.read({**full, "reply": ""}) == Dropped(("missing value: completion is empty",))


COMMENTS = [{"author_id": 1, "body": "Q", "public": True}, {"author_id": 2, "body": "A", "public": True}]


@pytest.mark.parametrize(
    ("sample", "name"),
    [
        ({"id": 7, "subject": "S", "comments": COMMENTS, "messages": TURNS}, "zendesk"),
        ({"id": 7, "comments": "great", "text": "words"}, "text"),
        ({"id": 7, "source": {"author": {"type": "user"}, "body": "Q"}, "conversation_parts": {}}, "intercom"),
        ({"id": 7, "source": "import", "question": "Q", "answer": "A"}, "question_answer"),
        ({"id": 7, "description_text": "Q", "status": 2, "conversations": []}, "freshdesk"),
        ({"id": 7, "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}, "sharegpt"),
        ({"mails": [{"side": "agent", "body": "A"}], "subject": "S"}, "mail_thread"),
        ({"mails": ["a"], "text": "words"}, "text"),
        ({"comment": "words", "category": "x"}, "labelled"),
        ({"text": "words", "comment": ["a", "b"]}, "text"),
        ({"description": "Q", "status": "open", "requester_id": 1, "submitter_id": 1}, "zendesk"),
        ({"description": "Q", "status": "open", "assignee": "x", "prompt": "Q", "reply": "A"}, "prompt_completion"),
    ],
)
def test_exports_of_help_desks_are_told_from_plain_files(sample: dict[str, object], name: str) -> None:
    assert resolve(sample).format == name


def test_gathered_rows_are_comments_by_the_names_of_their_columns() -> None:
    sample: dict[str, object] = {
        "Fall": "F-1",
        "Wer": ["kunde", "agent"],
        "Text": ["Q", "A"],
        "customer_id": ["C", "C"],
    }
    layout = resolve(sample, thread_by="Fall", columns={"comment": "Text", "author": "Wer"})
    assert layout.shown == "comment_rows"
    assert layout.columns["ticket_id"] == "Fall"
    assert layout.groups(sample, GROUP_BY) == (("customer_id", "C"),)
    with pytest.raises(SourceError, match=r"t\.csv: format comment_rows needs comment \(name them under columns; "):
        resolve({"Fall": "F-1", "x": ["Q"]}, thread_by="Fall")


def test_tickets_and_plain_records_may_be_mixed() -> None:
    ticket: dict[str, object] = {"id": 7, "comments": COMMENTS}
    layout = resolve(ticket, {"question": "Q", "answer": "A"})
    assert layout.shown == "zendesk + question_answer"
