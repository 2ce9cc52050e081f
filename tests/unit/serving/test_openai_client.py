"""The official client, against a server in a background thread."""

import openai
import pytest

from luthier.serving import running

HELLO = [{"role": "user", "content": "hello"}]


@pytest.fixture
def official(app, monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with running(app) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=20) as client:
        yield client


def test_a_whole_answer(official):
    answer = official.chat.completions.create(model="support-bot", messages=HELLO, temperature=0, n=1)
    assert answer.id.startswith("chatcmpl-")
    assert answer.choices[0].message.content == "You said: hello"
    assert answer.choices[0].message.role == "assistant"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == 15
    assert answer.system_fingerprint == "run-7"


def test_a_streamed_answer(official):
    stream = official.chat.completions.create(
        model="support-bot", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "You said: hello"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, None, "stop"]
    assert last.choices == []
    assert last.usage.completion_tokens == 3


def test_the_clients_own_stream_reader_puts_the_answer_together(official):
    with official.chat.completions.stream(model="support-bot", messages=HELLO) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert {"content.delta", "content.done"} <= kinds
    assert final.choices[0].message.content == "You said: hello"


def test_several_answers_with_logprobs(official):
    asked = [{"role": "user", "content": "two answers"}]
    settings = {"n": 2, "logprobs": True, "top_logprobs": 2, "logit_bias": {"50": -1}, "presence_penalty": 0.5}
    first, second = official.chat.completions.create(model="support-bot", messages=asked, **settings).choices
    assert (first.message.content, second.message.content) == ("Yes.", "No")
    assert [token.logprob for token in first.logprobs.content] == [-0.5, -0.25]
    assert first.logprobs.content[0].top_logprobs[0].token == "Yes"


def test_an_answer_goes_back_into_the_conversation(official, generator):
    answer = official.chat.completions.create(model="support-bot", messages=HELLO).choices[0].message
    again = official.chat.completions.create(model="run-7", messages=[*HELLO, answer.model_dump(), *HELLO])
    assert again.choices[0].message.content == "You said: hello"
    assert [message["role"] for message in generator.requests[1].messages] == ["system", "user", "assistant", "user"]


def test_models(official):
    assert [model.id for model in official.models.list()] == ["org/base", "run-7", "support-bot"]
    assert official.models.retrieve("org/base").owned_by == "luthier"


def test_errors_become_the_clients_own(official):
    with pytest.raises(openai.NotFoundError) as unknown:
        official.chat.completions.create(model="gpt-4o", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as unsupported:
        official.chat.completions.create(model="support-bot", messages=HELLO, store=True)
    assert unsupported.value.param == "store"
    with pytest.raises(openai.InternalServerError):
        official.chat.completions.create(model="support-bot", messages=[{"role": "user", "content": "fail"}])


def test_an_error_in_mid_stream_is_raised(official):
    stream = official.chat.completions.create(
        model="support-bot", messages=[{"role": "user", "content": "fail later"}], stream=True
    )
    with pytest.raises(openai.APIError, match="its log says why"):
        list(stream)


def test_closing_a_stream_cancels_the_request(official, generator, sink, wait_until):
    stream = official.chat.completions.create(
        model="support-bot", messages=[{"role": "user", "content": "go on"}], stream=True
    )
    next(iter(stream))
    stream.close()
    wait_until(lambda: generator.closed == 1)
    assert sink.wait_for(1)[0].status == 499


def test_clients_that_give_up_leave_their_places_in_the_queue(official, generator, sink):
    impatient = official.with_options(timeout=0.2)
    for _ in range(4):
        with pytest.raises(openai.APITimeoutError):
            impatient.chat.completions.create(model="run-7", messages=[{"role": "user", "content": "wait"}])
    assert [record.status for record in sink.wait_for(4)] == [499] * 4
    generator.go_on.set()
    answer = official.chat.completions.create(model="run-7", messages=HELLO)
    assert answer.choices[0].message.content == "You said: hello"
    assert len(generator.requests) == 2


def test_feedback(official, sink):
    answer = official.chat.completions.create(model="support-bot", messages=HELLO)
    body = {"id": answer.id, "rating": "down", "correction": "It is 30 days."}
    assert official.post("/feedback", body=body, cast_to=dict) == {"id": "feedback-1"}
    assert sink.judgements[0].correction == "It is 30 days."
