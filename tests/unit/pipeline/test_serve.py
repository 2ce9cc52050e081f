import math

import httpx
import pytest

import luthier
from luthier.core.artefacts import Run
from luthier.core.errors import LuthierError, ModelError, RegistryError
from luthier.core.requests import FeedbackRecord, RequestRecord
from luthier.monitoring import RequestLog
from luthier.pipeline.base import open_base
from luthier.pipeline.serve import RegistryCatalogue, log_redaction, resolve_model


@pytest.fixture
def base(evaluated):
    return open_base(evaluated).artefact.id


@pytest.fixture
def run(evaluated):
    return evaluated.registry.latest("run").id


def another_run(project):
    with luthier.open_project(project.workspace.root, overrides=["training.seed=5"]) as other:
        return luthier.train(other).run


def test_before_any_release_there_are_the_base_and_every_run(evaluated, base, run):
    later = another_run(evaluated)
    offered = RegistryCatalogue(evaluated, base).models()
    assert [model.id for model in offered] == [base, later, run]
    assert [(model.parent, model.release) for model in offered] == [(None, None), (base, None), (base, None)]
    assert {model.root for model in offered} == {base}
    assert all(model.created > 1.7e9 for model in offered)


def test_a_release_is_offered_first_and_at_once(evaluated, base, run, judge):
    catalogue = RegistryCatalogue(evaluated, base)
    assert catalogue.models()[0].id == base
    judge(evaluated, run, "pass")
    release = luthier.promote(evaluated).release
    first = catalogue.models()[0]
    assert (first.id, first.run, first.generator_model, first.release) == ("shop", run, run, release)


def test_runs_of_another_base_are_not_offered(evaluated, base, run):
    evaluated.registry.add(Run(id="run-000000000001", summary={"base": "base-000000000001"}))
    assert [model.id for model in RegistryCatalogue(evaluated, base).models()] == [base, run]


def test_what_a_name_stands_for(evaluated, base, run, judge):
    assert resolve_model(evaluated, base, None) == run
    assert resolve_model(evaluated, base, base) == base
    assert resolve_model(evaluated, base, run[:9]) == run
    judge(evaluated, run, "pass")
    release = luthier.promote(evaluated).release
    later = another_run(evaluated)
    assert resolve_model(evaluated, base, None) == run, "the released one before the latest"
    assert resolve_model(evaluated, base, "shop") == run
    assert resolve_model(evaluated, base, release) == run
    assert resolve_model(evaluated, base, later) == later
    with pytest.raises(ModelError, match=r"dataset-.* is no model of this workspace \(shop, base-"):
        resolve_model(evaluated, base, evaluated.registry.latest("dataset").id)
    with pytest.raises(RegistryError, match="nothing is called 'shopp'"):
        resolve_model(evaluated, base, "shopp")


def test_without_a_run_the_base_answers(prepared):
    base = open_base(prepared).artefact.id
    assert resolve_model(prepared, base, None) == base


def test_the_log_is_redacted_as_the_data_is(prepared_shop):
    with luthier.open_project(prepared_shop) as project:
        assert "@" not in log_redaction(project)("write to jo@mail.example or 020 7946 0018")
    keep = ["data.clean.redact.keep=[jo@mail.example]"]
    with luthier.open_project(prepared_shop, overrides=keep) as project:
        assert log_redaction(project)("jo@mail.example") == "jo@mail.example"
    with luthier.open_project(prepared_shop, overrides=["data.clean.redact=null"]) as project:
        assert "@" not in log_redaction(project)("jo@mail.example"), "logs are redacted even where data are not"


def test_a_server_in_the_background(evaluated, base, run, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    body = {"model": run, "messages": [{"role": "user", "content": "My mail is jo@mail.example"}], "max_tokens": 3}
    with luthier.background_server(evaluated) as url, httpx.Client(base_url=url, timeout=60) as client:
        assert [model["id"] for model in client.get("/v1/models").json()["data"]] == [base, run]
        answer = client.post("/v1/chat/completions", json=body).json()
        refused = client.post("/v1/chat/completions", json=body | {"max_tokens": 9})
    assert refused.status_code == 400
    assert "above this server's limit of 8" in refused.text
    log = RequestLog(evaluated.store, str)
    assert log.feedback(FeedbackRecord(answer["id"], "up")).startswith("feedback-")
    traffic = luthier.monitor(evaluated).traffic
    assert (traffic.total.requests, traffic.total.up) == (1, 1)
    assert traffic.models[0].run == run
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_monitor_looks_back_some_hours(prepared):
    log = RequestLog(prepared.store, str)
    asked = ({"role": "user", "content": "Hello"},)
    times = {"status": 200, "finish_reason": "stop", "prompt_tokens": 2, "completion_tokens": 1}
    log.record(
        RequestRecord("chatcmpl-1", 1000.0, "m", "r", None, asked, "Hi", **times, first_token_seconds=1, seconds=2)
    )
    assert luthier.monitor(prepared).to_json()["total"]["requests"] == 1
    assert luthier.monitor(prepared, hours=1).traffic.total.requests == 0
    assert luthier.monitor(prepared, hours=1).report().startswith("No requests since ")
    assert "1970-01-01 00:16 UTC" in luthier.monitor(prepared).report()


@pytest.mark.parametrize("hours", [0.0, -1.0, math.nan, math.inf, 1e300])
def test_hours_that_are_no_past_are_one_sentence(prepared, hours):
    with pytest.raises(LuthierError, match="hours cannot be looked back"):
        luthier.monitor(prepared, hours)
