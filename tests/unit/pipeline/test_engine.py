import shutil
from contextlib import contextmanager

import httpx
import pytest
from safetensors.torch import load_file, save_file

import luthier
from luthier.core.artefacts import Run
from luthier.core.errors import ModelError, RegistryError
from luthier.core.generation import GenerationRequest, complete
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator, run_folder


def request(model, **settings):
    return GenerationRequest(model, ({"role": "user", "content": "Where is it?"},), max_new_tokens=4, **settings)


@pytest.fixture
def runs(evaluated):
    """Base model, a run, and a run whose adapter belongs to a wider base model."""
    sound = evaluated.registry.latest("run")
    foreign = Run(
        id="run-00000000000f", parents=sound.parents, path=sound.path.parent / "run-00000000000f", summary=sound.summary
    )
    folder = evaluated.workspace.root / foreign.path
    shutil.copytree(evaluated.workspace.root / sound.path, folder)
    [weights] = folder.rglob("adapter_model.safetensors")
    save_file({name: weight.repeat(1, 2) for name, weight in load_file(weights).items()}, weights)
    evaluated.registry.add(foreign)
    return sound.parents[1], sound.id, foreign.id


def test_what_is_wrong_with_one_model_ends_its_requests_alone(evaluated, runs):
    base, sound, foreign = runs
    generator = RunsGenerator(evaluated, open_base(evaluated))
    expected = [completion.text for completion in complete(generator, [request(base), request(sound)])]
    texts, errors = [""] * 4, {}
    asked = [request(base), request(foreign, temperature=1, n=2), request("run-nowhere"), request(sound)]
    for event in generator.stream(asked):
        texts[event.index] += event.text
        if event.error is not None:
            errors.setdefault(event.index, []).append(event.error)
    assert [texts[0], texts[3]] == expected
    assert {index: [type(error) for error in found] for index, found in errors.items()} == {
        1: [ModelError] * 2,
        2: [RegistryError],
    }
    assert "its weights are not those of this model" in str(errors[1][0])
    assert str(run_folder(evaluated, foreign)) in str(errors[1][0])


def test_a_run_is_looked_up_once(evaluated, runs, monkeypatch):
    looked_up = []

    def noted(project, run):
        looked_up.append(run)
        return run_folder(project, run)

    monkeypatch.setattr("luthier.pipeline.engine.run_folder", noted)
    base, sound, _ = runs
    generator = RunsGenerator(evaluated, open_base(evaluated))
    complete(generator, [request(sound), request(base), request(sound)])
    complete(generator, [request(sound)])
    assert looked_up == [sound]


@contextmanager
def client_of(project):
    with luthier.background_server(project) as url, httpx.Client(base_url=url, timeout=60) as client:
        yield client


def test_over_http_a_model_that_cannot_answer_says_so(evaluated, runs, monkeypatch, caplog):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    base, sound, foreign = runs
    with client_of(evaluated) as client:

        def ask(model):
            body = {"model": model, "messages": [{"role": "user", "content": "Where is it?"}], "max_tokens": 3}
            return client.post("/v1/chat/completions", json=body)

        refused = ask(foreign)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
        assert str(evaluated.workspace.root) not in refused.text
        assert [ask(model).status_code for model in (base, sound)] == [200, 200]
    assert "its weights are not those of this model" in caplog.text
