from collections.abc import Iterator, Sequence

import luthier
from luthier.core.generation import GenerationEvent, GenerationRequest
from luthier.pipeline.chat import ChatSession


class Echo:
    """A generator that says how many messages it was given."""

    models = ("echo",)

    def __init__(self) -> None:
        self.requests: list[GenerationRequest] = []

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        [request] = requests
        self.requests.append(request)
        yield GenerationEvent(0, f"{len(request.messages)} ")
        yield GenerationEvent(0, "messages", "stop", 1, 2)


def said(request):
    return [(message["role"], message["content"]) for message in request.messages]


def test_turns_add_up_behind_the_system_prompt():
    echo = Echo()
    session = ChatSession(echo, "echo", "Be brief.", 8)
    assert list(session.ask("Hello")) == ["2 ", "messages"]
    assert "".join(session.ask("And now?")) == "4 messages"
    assert said(echo.requests[1]) == [
        ("system", "Be brief."),
        ("user", "Hello"),
        ("assistant", "2 messages"),
        ("user", "And now?"),
    ]
    assert echo.requests[1].max_new_tokens == 8


def test_an_answer_that_was_broken_off_is_forgotten():
    echo = Echo()
    session = ChatSession(echo, "echo", "", 8)
    answer = session.ask("Hello")
    next(answer)
    answer.close()
    list(session.ask("Again"))
    assert said(echo.requests[1]) == [("user", "Again")]


def test_base_and_run_answer_differently(evaluated):
    base, run = evaluated.registry.latest("base").id, evaluated.registry.latest("run").id
    assert luthier.open_chat(evaluated).model == run
    answers = {name: "".join(luthier.open_chat(evaluated, name).ask("How long?")) for name in (base, run)}
    assert answers[base] != answers[run]


def test_a_model_that_answers_one_request_at_a_time_says_why(evaluated, reporter, monkeypatch):
    class Slow:
        fast_path = "off: it has no attention"

        def __init__(self, *_, quantization):
            assert quantization is None

    monkeypatch.setattr("luthier.pipeline.engine.Engine", Slow)
    luthier.open_chat(evaluated)
    assert any("one request at a time; the fast path is off: it has no attention" in line for line in reporter.said)


def test_a_quantised_model_says_so_and_runs_answer_on_it(evaluated_shop, reporter):
    with luthier.open_project(evaluated_shop, overrides=["serving.quantization=int8"], reporter=reporter) as project:
        base, run = project.registry.latest("base").id, project.registry.latest("run").id
        answers = {name: "".join(luthier.open_chat(project, name).ask("How long?")) for name in (base, run)}
    assert answers[base] != answers[run]
    assert f"{base} answers with weights in int8" in reporter.said
