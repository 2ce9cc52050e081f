import json
from dataclasses import replace

from luthier.core.recipe import CleanSection, RedactSection
from luthier.core.rows import Origin
from luthier.data.clean import cleaning_steps
from luthier.data.layout import Layout
from luthier.data.transform import Outcome, RawRecord, Rules, row_id, transform_records

ORIGIN = Origin("t.csv", 3)
RULES = Rules(
    layouts=[Layout("question_answer", {"question": "q", "answer": "a"})],
    steps=cleaning_steps(CleanSection(), ""),
    group_by=("customer_id",),
    redact=RedactSection(),
)


def raw(**fields: object) -> str:
    return json.dumps(fields)


def outcome_of(record: str, error: str | None = None, rules: Rules = RULES) -> Outcome:
    return next(transform_records([RawRecord(ORIGIN, 0, record, error)], rules))


def test_a_record_becomes_a_masked_row_with_its_groups() -> None:
    record = raw(q="Where is it? ann@mail.example", a="On the <b>way</b>.", customer_id="C7", mail="ann@mail.example")
    outcome = outcome_of(record)
    assert outcome.row is not None
    assert [message["content"] for message in outcome.row.messages] == ["Where is it? [EMAIL]", "On the way."]
    assert outcome.row.groups == ("customer_id=C7",)
    assert outcome.row.id == row_id(outcome.row)
    assert outcome.compared == "Where is it? [EMAIL]\nOn the way."
    assert outcome.reasons == ()
    assert outcome.redactions == {"email": 2}
    assert "ann@" not in outcome.original


def test_groups_that_are_personal_data_get_pseudonyms() -> None:
    def group(customer: str) -> tuple[str, ...]:
        outcome = outcome_of(raw(q="one two", a="three four", customer_id=customer))
        assert outcome.row is not None
        return outcome.row.groups

    assert group("ann@mail.example") == group("ann@mail.example")
    assert group("ann@mail.example") != group("bob@mail.example")
    assert group("ann@mail.example")[0].startswith("customer_id=#")


def test_unreadable_records_keep_what_stood_there() -> None:
    outcome = outcome_of(json.dumps('{"q": "ann@mail.example'), "not valid JSON: x")
    assert outcome.row is None
    assert outcome.reasons == ("unreadable: not valid JSON: x",)
    assert json.loads(outcome.original) == '{"q": "[EMAIL]'


def test_records_nested_beyond_reason_are_no_crash() -> None:
    deep = "[" * 900 + "]" * 900
    outcome = outcome_of(f'{{"q": {deep}, "a": "x"}}')
    assert outcome.row is None
    assert outcome.reasons == ("unreadable: nested too deeply",)


def test_equal_texts_of_two_records_are_two_rows() -> None:
    outcome = outcome_of(raw(q="one two", a="three four"))
    assert outcome.row is not None
    assert row_id(outcome.row) != row_id(replace(outcome.row, origin=Origin("t.csv", 4)))


def test_what_a_format_knows_of_a_conversation_goes_with_its_row() -> None:
    layout = Layout("zendesk", {name: name for name in ("id", "comments", "status", "requester_id", "customer_id")})
    rules = replace(RULES, layouts=[layout], group_by=("conversation_id", "customer_id"))
    comments = [{"author_id": 1, "body": "Where is my chair?"}, {"author_id": 2, "body": "On its way to you."}]
    ticket = {"id": 7, "status": "open", "requester_id": 1, "comments": comments}
    row = outcome_of(raw(**ticket), rules=rules).row
    assert row is not None
    assert row.groups == ("conversation_id=7", "customer_id=1")
    assert row.flags == ("unresolved: the ticket is open",)
    row = outcome_of(raw(**ticket, customer_id="C7"), rules=rules).row
    assert row is not None
    assert row.groups == ("conversation_id=7", "customer_id=C7")


def test_records_together_become_what_each_becomes_alone() -> None:
    texts = [raw(q=f"Where is parcel {n}? ann{n}@mail.example", a="On its way. " * (1 + n % 3)) for n in range(150)]
    records = [RawRecord(Origin("t.csv", place), 0, text) for place, text in enumerate(texts)]
    records[70] = RawRecord(Origin("t.csv", 70), 0, json.dumps("{"), "not valid JSON: x")
    records[71] = RawRecord(Origin("t.csv", 71), 0, raw(q="no answer"))
    records[72] = RawRecord(Origin("t.csv", 72), 0, raw(q="too", a="short"))
    together = list(transform_records(records, RULES))
    assert together == [next(transform_records([record], RULES)) for record in records]
    assert [place for place, outcome in enumerate(together) if outcome.reasons] == [70, 71, 72]
    assert [place for place, outcome in enumerate(together) if outcome.row is None] == [70, 71]
