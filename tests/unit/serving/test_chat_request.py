import json

import pytest
from pydantic import ValidationError

from luthier.core.generation import Grammar
from luthier.serving.api_error import ApiError
from luthier.serving.chat_request import (
    NEUTRAL_MESSAGE_FIELDS,
    NEUTRAL_PARAMETERS,
    ChatRequest,
    conversation,
    generation_request,
)
from luthier.serving.limits import Limits

HELLO = [{"role": "user", "content": "hello"}]


def parse(**fields):
    return ChatRequest.model_validate({"model": "m", "messages": HELLO, **fields})


def asked(limit=64, system="", **fields):
    return generation_request(parse(**fields), "adapter", system, Limits(limit, 7.5))


def refused(**fields):
    """Where validation found fault, as (location, type)."""
    with pytest.raises(ValidationError) as caught:
        parse(**fields)
    return [(fault["loc"], fault["type"]) for fault in caught.value.errors()]


def test_everything_supported_reaches_the_generator():
    request = asked(max_tokens=9, temperature=0.5, top_p=0.9, seed=3, stop=["a", "b"])
    assert request.model == "adapter"
    assert request.messages == ({"role": "user", "content": "hello"},)
    assert (request.max_new_tokens, request.temperature, request.top_p, request.seed) == (9, 0.5, 0.9, 3)
    assert request.stop == ("a", "b")
    request = asked(presence_penalty=-1.5, frequency_penalty=2, logit_bias={"50": -100, "7": 0.5}, n=3)
    assert (request.presence_penalty, request.frequency_penalty, request.n) == (-1.5, 2.0, 3)
    assert request.logit_bias == {50: -100.0, 7: 0.5}


def test_a_response_format_becomes_a_grammar():
    assert asked().grammar is None
    assert asked(response_format={"type": "text"}).grammar is None
    assert asked(response_format={"type": "json_object"}).grammar == Grammar("json_schema", '{"type": "object"}')
    schema = {"type": "object", "properties": {"days": {"type": "integer"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    assert asked(response_format=wanted).grammar == Grammar("json_schema", json.dumps(schema))


def test_logprobs_are_off_or_of_the_token_alone_or_of_the_likeliest_too():
    assert asked(logprobs=False).logprobs is None
    assert asked(logprobs=True).logprobs == 0
    assert asked(logprobs=True, top_logprobs=3).logprobs == 3
    with pytest.raises(ApiError, match="logprobs: true") as caught:
        asked(top_logprobs=3)
    assert caught.value.body.error.param == "top_logprobs"


def test_defaults_are_greedy_and_up_to_the_limit():
    request = asked()
    assert (request.temperature, request.top_p, request.seed, request.stop) == (0.0, 1.0, None, ())
    assert (request.max_new_tokens, request.max_seconds) == (64, 7.5)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_answer_length_has_a_limit_which_the_error_names(name):
    assert asked(**{name: 64}).max_new_tokens == 64
    with pytest.raises(ApiError, match=f"{name} is 65, above this server's limit of 64") as caught:
        asked(**{name: 65})
    assert caught.value.body.error.param == name


def test_both_names_of_the_answer_length_must_agree():
    assert asked(max_tokens=5, max_completion_tokens=5).max_new_tokens == 5
    with pytest.raises(ApiError, match="differ"):
        asked(max_tokens=5, max_completion_tokens=6)


def test_stream_options_belong_to_streams():
    with pytest.raises(ApiError, match="stream: true") as caught:
        asked(stream_options={"include_usage": True})
    assert caught.value.body.error.param == "stream_options"
    assert parse(stream=True, stream_options={"include_usage": True}).include_usage
    assert not parse(stream=True).include_usage


def test_a_single_stop_text_is_a_list_of_one():
    assert asked(stop="END").stop == ("END",)


def test_text_parts_are_joined_by_line():
    parts = [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert conversation(parse(messages=[{"role": "user", "content": parts}]), "")[0]["content"] == "one\ntwo"


@pytest.mark.parametrize("role", ["system", "developer"])
def test_the_clients_own_system_message_stays(role):
    request = parse(messages=[{"role": role, "content": "be brief"}, *HELLO])
    assert conversation(request, "recipe") == (
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "hello"},
    )


def test_the_recipes_system_prompt_goes_in_front_where_there_is_none():
    assert conversation(parse(), "recipe")[0] == {"role": "system", "content": "recipe"}
    assert conversation(parse(), "") == ({"role": "user", "content": "hello"},)


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in NEUTRAL_PARAMETERS.items() for value in (None, *values)]
)
def test_values_that_ask_for_nothing_are_accepted(name, value):
    assert parse(**{name: value}) == parse()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("store", True),
        ("prediction", {"type": "content", "content": "x"}),
        ("max_token", 5),
        ("unheard_of", None),
    ],
)
def test_what_is_not_supported_is_refused_by_name(name, value):
    assert refused(**{name: value}) == [((name,), "extra_forbidden")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", 2.1),
        ("temperature", float("nan")),
        ("temperature", "1"),
        ("top_p", 0),
        ("top_p", 1.1),
        ("seed", 1.5),
        ("seed", 2**63),
        ("max_tokens", 0),
        ("max_tokens", True),
        ("stop", ["a", "b", "c", "d", "e"]),
        ("stop", [""]),
        ("frequency_penalty", 2.5),
        ("presence_penalty", -2.5),
        ("presence_penalty", False),
        ("logit_bias", {"50": 101}),
        ("logit_bias", {"fifty": 1}),
        ("logit_bias", {"-1": 1}),
        ("logprobs", 1),
        ("top_logprobs", 21),
        ("n", 0),
        ("response_format", {"type": "json_schema"}),
        ("response_format", {"type": "json_object", "json_schema": {"name": "x", "schema": {}}}),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "x"}}),
        ("response_format", {"type": "yaml"}),
        ("n", 9),
        ("n", True),
        ("stream", "yes"),
        ("model", ""),
        ("messages", []),
        ("user", 5),
        ("metadata", {"a": 1}),
        ("metadata", {str(number): "x" for number in range(17)}),
    ],
)
def test_values_out_of_range_are_refused(name, value):
    assert {location[0] for location, _ in refused(**{name: value})} == {name}


def test_null_means_not_given():
    names = ("max_tokens", "temperature", "top_p", "seed", "stop", "stream", "stream_options", "user", "metadata")
    names += ("presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "n")
    assert parse(**dict.fromkeys(names)) == parse()
    assert refused(messages=None) == [(("messages",), "missing")]


def test_an_answer_can_be_sent_back_as_it_came():
    answer = {"role": "assistant", "content": "hi", **dict.fromkeys(NEUTRAL_MESSAGE_FIELDS)}
    assert conversation(parse(messages=[*HELLO, answer, *HELLO]), "")[1] == {"role": "assistant", "content": "hi"}


@pytest.mark.parametrize(
    ("message", "location"),
    [
        ({"role": "robot", "content": "x"}, ("messages", 0, "role")),
        ({"role": "user"}, ("messages", 0, "content")),
        ({"role": "user", "content": []}, ("messages", 0, "content")),
        ({"role": "user", "content": "x", "name": "Ann"}, ("messages", 0, "name")),
        ({"role": "user", "content": "x", "tool_call_id": "1"}, ("messages", 0)),
        ({"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}, ("messages", 0, "tool_calls")),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},
            ("messages", 0, "content", 0, "type"),
        ),
    ],
)
def test_messages_that_cannot_be_shown_to_the_model_are_refused(message, location):
    assert refused(messages=[message])[0][0] == location


def test_tool_messages_may_name_their_call():
    message = {"role": "tool", "content": "42", "tool_call_id": "call-1"}
    assert conversation(parse(messages=[message]), "") == ({"role": "tool", "content": "42"},)
