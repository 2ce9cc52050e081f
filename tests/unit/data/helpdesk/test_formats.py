import pytest
from hypothesis import given
from hypothesis import strategies as st

from luthier.core.recipe import RowFormat
from luthier.data.content import Content
from luthier.data.helpdesk import HELPDESK_FORMATS
from luthier.data.reasons import Dropped

KEYS = (
    *("author_id", "author", "body", "html_body", "public", "private", "created_at", "via", "type", "role", "id"),
    *("part_type", "redacted", "conversation_parts", "incoming", "user_id", "source", "body_text", "side", "contacts"),
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-2, 300) | st.text(max_size=12) | st.sampled_from(["user", "admin", "1"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)


@pytest.mark.parametrize("name", HELPDESK_FORMATS)
@given(data=st.data())
def test_whatever_stands_in_a_record_is_no_crash(name: RowFormat, data: st.DataObject) -> None:
    form = HELPDESK_FORMATS[name]
    fields = {field: data.draw(VALUES) for field in form.names}
    assert form.recognises is not None
    assert isinstance(form.recognises(fields), bool)
    parsed = form.read(fields)
    assert isinstance(parsed, Content | Dropped)
    if isinstance(parsed, Content):
        assert all(message["content"].strip() for message in parsed.messages)
        assert all(
            one["role"] != other["role"] for one, other in zip(parsed.messages, parsed.messages[1:], strict=False)
        )


@pytest.mark.parametrize(
    ("name", "fields", "groups"),
    [
        (
            "zendesk",
            {"id": 7, "requester_id": 1, "comments": [{"author_id": 1, "body": "Q"}]},
            (("conversation_id", "7"), ("customer_id", "1")),
        ),
        (
            "freshdesk",
            {"id": 8, "requester": {"id": 2}, "description": "Q", "conversations": []},
            (("conversation_id", "8"), ("customer_id", "2")),
        ),
        (
            "intercom",
            {"id": "9", "source": {"author": {"type": "user", "id": "c"}, "body": "Q"}},
            (("conversation_id", "9"), ("customer_id", "c")),
        ),
        (
            "mail_thread",
            {"mails": [{"side": "customer", "body": "Q"}], "thread_id": "x@y", "customer": "a@y.example"},
            (("conversation_id", "x@y"), ("customer_id", "a@y.example")),
        ),
        (
            "comment_rows",
            {"ticket_id": "T", "comment": ["Q"], "requester": ["", "R"]},
            (("conversation_id", "T"), ("customer_id", "R")),
        ),
    ],
)
def test_conversations_and_customers_are_known(name: RowFormat, fields: dict[str, object], groups: object) -> None:
    parsed = HELPDESK_FORMATS[name].read(fields)
    assert isinstance(parsed, Content)
    assert parsed.groups == groups
