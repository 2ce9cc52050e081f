"""Whatever a body holds, the answer is a status and a shape that were meant."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.serving.chat_request import NEUTRAL_MESSAGE_FIELDS, NEUTRAL_PARAMETERS, ChatRequest

EXAMPLES = settings(max_examples=150, deadline=None)
PATHS = st.sampled_from(["/v1/chat/completions", "/v1/feedback"])
# JSON as Python reads it: NaN, infinities and lone surrogates included.
TEXT = st.text(st.characters(), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
PARTS = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": TEXT}) | JSON, max_size=3)
MESSAGE = st.fixed_dictionaries(
    {"role": ROLES, "content": TEXT | PARTS}, optional=dict.fromkeys(["tool_call_id", *NEUTRAL_MESSAGE_FIELDS], JSON)
)
GOOD_MESSAGE = st.fixed_dictionaries({"role": ROLES, "content": st.text(max_size=8)})
FIELDS = dict.fromkeys([*ChatRequest.model_fields, *NEUTRAL_PARAMETERS], JSON)
CHAT = st.fixed_dictionaries(
    {"model": st.just("support-bot"), "messages": st.lists(GOOD_MESSAGE, min_size=1, max_size=3)},
    optional={
        "max_tokens": st.integers(-1, 70),
        "temperature": st.floats(),
        "top_p": st.floats(0, 1),
        "seed": st.integers(),
        "stop": st.text(max_size=3) | st.lists(st.text(max_size=3), max_size=5),
        "stream": st.booleans(),
        "stream_options": st.fixed_dictionaries({"include_usage": st.booleans()}),
    },
)


def check(response):
    """A status that was meant, and the fields of an error in every error."""
    assert response.status_code in (200, 400, 404), response.text
    if response.status_code != 200:
        assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def post(client, path, content):
    return client.post(path, content=content, headers={"content-type": "application/json"})


@EXAMPLES
@given(path=PATHS, body=JSON)
def test_any_json(fuzzed, path, body):
    check(post(fuzzed, path, json.dumps(body)))


@EXAMPLES
@given(path=PATHS, body=st.binary(max_size=60))
def test_any_bytes(fuzzed, path, body):
    check(post(fuzzed, path, body))


@EXAMPLES
@given(body=CHAT, odd=st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON, max_size=1), message=MESSAGE)
def test_requests_that_are_nearly_right(fuzzed, body, odd, message):
    for changed in (body, {**body, **odd}, {**body, "messages": [message]}):
        check(post(fuzzed, "/v1/chat/completions", json.dumps(changed)))


@EXAMPLES
@given(path=st.text(max_size=20))
def test_any_model_id(fuzzed, path):
    response = fuzzed.get("/v1/models/" + "".join(f"%{byte:02x}" for byte in path.encode()))
    check(response)
