import json
import logging
import re

import pytest
from fastapi.testclient import TestClient

HELLO = [{"role": "user", "content": "hello"}]


def ask(client, content="hello", **fields):
    body = {"model": "support-bot", "messages": [{"role": "user", "content": content}], **fields}
    return client.post("/v1/chat/completions", json=body)


def events(response):
    """Data of the server-sent events of a response, `[DONE]` as text."""
    blocks = response.text.split("\n\n")
    assert blocks.pop() == ""
    data = [block.removeprefix("data: ") for block in blocks]
    return [item if item == "[DONE]" else json.loads(item) for item in data]


def error(response):
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return body["error"]


def test_a_whole_answer(client):
    body = ask(client).json()
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{24}", body.pop("id"))
    assert isinstance(body.pop("created"), int)
    assert body == {
        "object": "chat.completion",
        "model": "support-bot",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "You said: hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        "system_fingerprint": "run-7",
    }


def test_a_streamed_answer(client):
    response = ask(client, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-cache"
    *chunks, done = events(response)
    assert done == "[DONE]"
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert not any("usage" in chunk for chunk in chunks)
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [choice["delta"] for choice in choices] == [
        {"role": "assistant", "content": ""},
        {"content": "You "},
        {"content": "said: "},
        {"content": "hello"},
        {},
    ]
    assert [choice["finish_reason"] for choice in choices] == [None, None, None, None, "stop"]


YES = {"token": "Yes", "logprob": -0.5, "bytes": [89, 101, 115]}
YES_OR_HALF = [YES | {"top_logprobs": [YES, {"token": "\ufffd", "logprob": -1.5, "bytes": None}]}]
STOP = [{"token": ".", "logprob": -0.25, "bytes": [46], "top_logprobs": []}]


def test_several_answers_with_logprobs(client, sink):
    body = ask(client, "two answers", n=2, logprobs=True, top_logprobs=2).json()
    first, second = body["choices"]
    assert (first["index"], first["message"]["content"], first["finish_reason"]) == (0, "Yes.", "stop")
    assert first["logprobs"] == {"content": YES_OR_HALF + STOP, "refusal": None}
    assert (second["index"], second["message"]["content"], second["finish_reason"]) == (1, "No", "length")
    assert second["logprobs"] is None
    assert body["usage"] == {"prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14}
    [record] = sink.wait_for(1)
    assert (record.answer, record.finish_reason, record.completion_tokens) == ("Yes.", "stop", 9)


def test_several_answers_as_a_stream(client):
    settings = {"n": 2, "logprobs": True, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, usage, done = events(ask(client, "two answers", **settings))
    assert done == "[DONE]"
    assert usage["usage"]["completion_tokens"] == 9
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [(each["index"], each["delta"].get("content"), each["finish_reason"]) for each in choices] == [
        (0, "", None),
        (0, "Yes", None),
        (1, "", None),
        (1, "No", None),
        (1, None, "length"),
        (0, ".", None),
        (0, None, "stop"),
    ]
    assert choices[1]["logprobs"]["content"] == YES_OR_HALF
    assert choices[3]["logprobs"] is None


def test_usage_comes_last_in_a_stream_with_no_choices(client):
    *chunks, last, done = events(ask(client, stream=True, stream_options={"include_usage": True}))
    assert done == "[DONE]"
    assert all(chunk["usage"] is None and chunk["choices"] for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"] == {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


def test_the_generator_is_asked_for_the_engines_name_behind_the_recipes_system_prompt(client, generator):
    ask(client, max_tokens=7)
    [request] = generator.requests
    assert request.model == "adapter-7"
    assert request.max_new_tokens == 7
    assert request.messages == (
        {"role": "system", "content": "You are the assistant of a shop."},
        {"role": "user", "content": "hello"},
    )


def test_one_thread_records(client, generator, sink):
    for _ in range(3):
        ask(client)
    sink.wait_for(3)
    assert generator.threads == {"luthier-answers-0"}
    assert sink.threads == {"luthier-sink_0"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_finished_request_leaves_one_record(client, sink, stream):
    response = ask(client, stream=stream)
    [record] = sink.wait_for(1)
    shown = events(response)[0] if stream else response.json()
    assert (record.id, int(record.created)) == (shown["id"], shown["created"])
    assert (record.model, record.run, record.release) == ("support-bot", "run-7", "release-3")
    assert [message["role"] for message in record.messages] == ["system", "user"]
    assert (record.answer, record.status, record.finish_reason) == ("You said: hello", 200, "stop")
    assert (record.prompt_tokens, record.completion_tokens) == (12, 3)
    assert record.first_token_seconds is not None
    assert 0 <= record.first_token_seconds <= record.seconds < 10


@pytest.mark.parametrize("stream", [False, True])
def test_a_generator_that_fails_gives_500_without_detail_and_one_record(client, sink, caplog, stream):
    response = ask(client, "fail", stream=stream)
    assert response.status_code == 500
    assert error(response)["type"] == "server_error"
    assert "inner detail" not in response.text
    assert "inner detail" in caplog.text
    [record] = sink.wait_for(1)
    assert (record.status, record.answer, record.first_token_seconds) == (500, "", None)


@pytest.mark.parametrize("order", ["fail later", "never finish", "break down"])
def test_a_failure_in_mid_stream_is_an_event_and_nothing_follows(client, sink, caplog, order):
    response = ask(client, order, stream=True)
    assert response.status_code == 200
    *chunks, last = events(response)
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", "half an "]
    assert set(last) == {"error"}
    assert last["error"]["code"] == "internal_error"
    assert "inner detail" not in response.text
    [record] = sink.wait_for(1)
    assert (record.status, record.answer, record.finish_reason) == (500, "half an ", None)
    assert caplog.records[-1].levelno == logging.ERROR


@pytest.mark.parametrize("stream", [False, True])
def test_messages_that_the_template_refuses_are_the_clients_fault(client, sink, stream):
    response = ask(client, "refuse", stream=stream)
    assert response.status_code == 400
    assert error(response) == {
        "message": "two user messages in a row",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "invalid_messages",
    }
    assert sink.wait_for(1)[0].status == 400


def test_an_answer_that_takes_too_long_is_a_504(client, sink):
    response = ask(client, "dawdle")
    assert response.status_code == 504
    assert (error(response)["code"], error(response)["message"]) == ("timeout", "no answer within 300 seconds")
    assert sink.wait_for(1)[0].status == 504


def test_what_the_machine_cannot_give_is_a_400_that_says_why(client, sink):
    response = ask(client, "too much")
    assert response.status_code == 400
    assert error(response)["message"] == "no room (5 tokens)"
    assert sink.wait_for(1)[0].status == 400


def test_the_server_goes_on_after_a_failure(client, generator, wait_until):
    assert ask(client, "fail").status_code == 500
    assert ask(client).status_code == 200
    wait_until(lambda: generator.closed == 2)


@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_sink_is_logged_and_does_not_fail_the_answer(client, sink, caplog, wait_until, stream):
    sink.fails = True
    response = ask(client, stream=stream)
    assert response.status_code == 200
    wait_until(lambda: "could not be recorded" in caplog.text)
    assert "disk full" in caplog.text


def test_an_unknown_model_is_404_and_says_what_there_is(client, generator, sink):
    response = client.post("/v1/chat/completions", json={"model": "gpt-4o", "messages": HELLO})
    assert response.status_code == 404
    assert error(response) == {
        "message": "there is no model 'gpt-4o'; there are: org/base, run-7, support-bot",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    assert not generator.requests
    assert not sink.records


def test_a_model_promoted_meanwhile_is_seen_at_once(client, catalogue):
    promoted = catalogue.offered.pop()
    assert ask(client).status_code == 404
    catalogue.offered.append(promoted)
    assert ask(client).status_code == 200


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({"messages": HELLO}, "model", "missing_required_parameter"),
        ({"model": "run-7"}, "messages", "missing_required_parameter"),
        ({"model": "run-7", "messages": HELLO, "tools": [{}]}, "tools", "unsupported_parameter"),
        ({"model": "run-7", "messages": HELLO, "n": 9}, "n", "invalid_value"),
        ({"model": "run-7", "messages": HELLO, "top_k": 5}, "top_k", "unsupported_parameter"),
        ({"model": "run-7", "messages": HELLO, "\ud800": 5}, "\\ud800", "invalid_value"),
        ({"model": "run-\ud800", "messages": HELLO}, "model", "invalid_value"),
        ({"model": "run-7", "messages": [{"role": "user", "content": "\udfff"}]}, "messages", "invalid_value"),
        ({"model": "run-7", "messages": HELLO, "stop": ["\ud800"]}, "stop", "invalid_value"),
        ({"model": "run-7", "messages": HELLO, "metadata": {"\ud800": "a"}}, "metadata", "invalid_value"),
        ({"model": "run-7", "messages": HELLO, "temperature": 3}, "temperature", "invalid_value"),
        ({"model": "run-7", "messages": HELLO, "max_tokens": 65}, "max_tokens", "invalid_value"),
        ({"model": "run-7", "messages": HELLO, "stream_options": {}}, "stream_options", "invalid_value"),
        ({"model": "run-7", "messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_value"),
        ([], None, None),
    ],
)
def test_a_bad_request_is_400_and_names_the_parameter(client, generator, body, param, code):
    response = client.post(
        "/v1/chat/completions", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert (error(response)["param"], error(response)["code"]) == (param, code)
    assert error(response)["type"] == "invalid_request_error"
    assert not generator.requests


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfa", b"[" * 5_000, b"9" * 5_000])
def test_a_body_that_is_no_json_is_400(client, content):
    for path in ("/v1/chat/completions", "/v1/feedback"):
        response = client.post(path, content=content, headers={"content-type": "application/json"})
        assert response.status_code == 400
        assert "body" in error(response)["message"]


def test_models_are_listed_with_what_they_came_from(client):
    body = client.get("/v1/models").json()
    assert body["object"] == "list"
    assert [model["id"] for model in body["data"]] == ["org/base", "run-7", "support-bot"]
    assert body["data"][2] == {
        "id": "support-bot",
        "object": "model",
        "created": 300,
        "owned_by": "luthier",
        "root": "org/base",
        "parent": "run-7",
        "run": "run-7",
        "release": "release-3",
    }


@pytest.mark.parametrize("path", ["org/base", "org%2Fbase"])
def test_one_model_by_its_id_even_with_a_slash(client, path):
    assert client.get(f"/v1/models/{path}").json()["id"] == "org/base"
    response = client.get("/v1/models/nobody")
    assert response.status_code == 404
    assert error(response)["code"] == "model_not_found"


@pytest.mark.parametrize("correction", [None, "It is 30 days."])
def test_feedback_right_after_the_answer(client, sink, correction):
    request_id = ask(client).json()["id"]
    body = {"id": request_id, "rating": "down", "correction": correction}
    response = client.post("/v1/feedback", json=body)
    assert (response.status_code, response.json()) == (200, {"id": "feedback-1"})
    [judgement] = sink.judgements
    assert (judgement.request_id, judgement.rating, judgement.correction) == (request_id, "down", correction)


def test_feedback_on_an_unknown_answer_is_404(client):
    response = client.post("/v1/feedback", json={"id": "chatcmpl-0", "rating": "up"})
    assert response.status_code == 404
    assert (error(response)["param"], error(response)["code"]) == ("id", "request_not_found")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"rating": "up"}, "id"),
        ({"id": "chatcmpl-0"}, "rating"),
        ({"id": "chatcmpl-0", "rating": "good"}, "rating"),
        ({"id": "chatcmpl-0", "rating": "up", "stars": 5}, "stars"),
        ({"id": "chatcmpl-0", "rating": "up", "correction": ""}, "correction"),
        ({"id": "chatcmpl-0", "rating": "up", "correction": "\ud83d"}, "correction"),
    ],
)
def test_bad_feedback_is_400(client, body, param):
    response = client.post("/v1/feedback", content=json.dumps(body), headers={"content-type": "application/json"})
    assert response.status_code == 400
    assert error(response)["param"] == param


def test_a_broken_catalogue_is_500_without_detail(client, catalogue):
    catalogue.fails = True
    for response in (client.get("/v1/models"), ask(client)):
        assert response.status_code == 500
        assert error(response)["code"] == "internal_error"
        assert "database" not in response.text


def test_paths_and_methods_that_are_not_there(client):
    nowhere = client.get("/v1/embeddings")
    assert (nowhere.status_code, error(nowhere)["message"]) == (404, "there is nothing at /v1/embeddings")
    wrong = client.get("/v1/chat/completions")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "POST")
    assert error(wrong)["message"] == "/v1/chat/completions does not take GET"
    assert client.get("/livez/").status_code == 404
    for path in ("/docs", "/redoc"):
        assert client.get(path).status_code == 404


def test_health(client):
    assert client.get("/livez").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}


def test_not_ready_before_start_and_after_stop(app):
    client = TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1))
    for _ in range(2):
        assert client.get("/livez").status_code == 200
        for response in (client.get("/readyz"), ask(client)):
            assert (response.status_code, error(response)["code"]) == (503, "not_running")
            assert response.headers["retry-after"] == "2"
        with client:
            assert client.get("/readyz").status_code == 200
            assert ask(client).status_code == 200


def test_openapi_describes_every_route_and_the_shape_of_errors(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/livez",
        "/readyz",
        "/v1/models",
        "/v1/models/{model}",
        "/v1/chat/completions",
        "/v1/feedback",
    }
    for operations in schema["paths"].values():
        for operation in operations.values():
            assert set(operation["responses"]) == {"200", "4XX", "5XX"}
    fields = schema["components"]["schemas"]["ChatRequest"]
    assert fields["additionalProperties"] is False
    assert {"model", "messages", "stop", "stream_options"} <= set(fields["properties"])
