import json
import time

import httpx
import pytest

from luthier.core.errors import EvaluationError
from luthier.core.recipe import JudgeSection
from luthier.pipeline.judge import LONGEST_RESPONSE, open_judge

SETTINGS = JudgeSection(url="http://judge.example/v1/", model="judge-1")


def answering(*responses):
    """A transport that gives these responses in turn, and what it was asked."""
    asked, remaining = [], iter(responses)

    def handle(request):
        asked.append(request)
        response = next(remaining)
        if isinstance(response, Exception):
            raise response
        return response

    return httpx.MockTransport(handle), asked


def said(text):
    return httpx.Response(200, json={"choices": [{"message": {"content": text}}]})


def test_the_reply_is_that_of_the_first_choice(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    transport, asked = answering(said("2"))
    ask = open_judge(SETTINGS.model_copy(update={"key_env": "JUDGE_KEY"}), transport)
    assert ask("Which?") == "2"
    [request] = asked
    assert str(request.url) == "http://judge.example/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer secret"
    body = json.loads(request.content)
    assert (body["model"], body["temperature"], body["messages"][0]["content"]) == ("judge-1", 0, "Which?")


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(500),
        httpx.Response(200, text="no json"),
        httpx.Response(200, json={"choices": []}),
        httpx.Response(200, json=[1]),
        httpx.Response(302, headers={"location": "http://elsewhere.example"}),
        said(None),
        httpx.Response(200, json={"choices": [{"message": "1"}]}),
        httpx.Response(200, content=b" " * (LONGEST_RESPONSE + 1)),
        httpx.Response(200, content=b"[" * 100_000),
        httpx.ReadTimeout("too slow"),
        httpx.ConnectError("refused"),
    ],
)
def test_a_reply_that_fails_is_none_and_three_in_a_row_end_it(response):
    transport, _ = answering(response, response, said("1"), response, response, response)
    ask = open_judge(SETTINGS, transport)
    assert [ask("Which?") for _ in range(5)] == [None, None, "1", None, None]
    with pytest.raises(EvaluationError, match=r"^http://judge.example/v1/: 3 prompts in a row had no reply: "):
        ask("Which?")


def trickling():
    """A reply of which each piece comes in time, and the whole never."""
    while True:
        time.sleep(0.02)
        yield b" "


@pytest.mark.timeout(30)
def test_a_reply_that_trickles_in_takes_no_longer_than_one_that_is_late():
    transport, _ = answering(*(httpx.Response(200, content=trickling()) for _ in range(3)))
    ask = open_judge(SETTINGS.model_copy(update={"timeout": 0.1}), transport)
    assert [ask("Which?") for _ in range(2)] == [None, None]
    with pytest.raises(EvaluationError, match=r"no reply: its reply took longer than 0\.1 seconds$"):
        ask("Which?")


@pytest.mark.parametrize(
    ("response", "sentence"),
    [
        (httpx.Response(500), "it answered with status 500"),
        (httpx.Response(200, json={"choices": []}), "its response holds no choice with a message"),
        (said(3), "its reply holds no text"),
    ],
)
def test_what_is_wrong_with_a_judge_is_one_sentence(response, sentence):
    transport, _ = answering(response, response, response)
    ask = open_judge(SETTINGS, transport)
    ask("Which?"), ask("Which?")
    with pytest.raises(EvaluationError) as caught:
        ask("Which?")
    assert str(caught.value) == f"http://judge.example/v1/: 3 prompts in a row had no reply: {sentence}"


def test_a_key_that_is_not_set_is_said(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    with pytest.raises(EvaluationError, match="JUDGE_KEY is not set"):
        open_judge(SETTINGS.model_copy(update={"key_env": "JUDGE_KEY"}))
