import json
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import luthier
from luthier.core.artefacts import Run
from luthier.core.errors import ModelError, WorkspaceError
from luthier.core.generation import GenerationRequest, complete
from luthier.models.merging import probe_logits
from luthier.models.methods import load_trained
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator, run_folder
from luthier.registry import capture


@pytest.fixture
def run(evaluated):
    return luthier.list_artefacts(evaluated, "run")[0].artefact.id


def test_transformers_alone_loads_what_was_exported(evaluated, run, tmp_path):
    made = luthier.export(evaluated, tmp_path / "model")
    assert (made.run, made.dtype) == (run, "float32")
    assert made.difference < 1e-5
    base = open_base(evaluated)
    ours = load_trained(run_folder(evaluated, run), base.load, "float32")
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    torch.testing.assert_close(probe_logits(theirs), probe_logits(ours), rtol=0, atol=1e-5)
    assert float((probe_logits(base.load()) - probe_logits(ours)).abs().max()) > 1e-3
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    turns = [{"role": "user", "content": "hello"}]
    assert tokenizer.apply_chat_template(turns, tokenize=False) == base.tokenizer.apply_chat_template(
        turns, tokenize=False
    )


def test_a_folder_that_holds_something_is_left_alone(evaluated, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(WorkspaceError, match=r"the folder is not empty \(a new one\)"):
        luthier.export(evaluated, folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_file_is_no_folder_to_export_to(evaluated, tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(WorkspaceError, match=r"model: is no folder \(a new one\)"):
        luthier.export(evaluated, tmp_path / "model")
    assert (tmp_path / "model").read_text() == "mine"


def test_a_model_that_says_something_else_is_not_kept(evaluated, tmp_path, monkeypatch):
    monkeypatch.setattr("luthier.pipeline.export.LARGEST_DIFFERENCE", {"float32": -1.0})
    with pytest.raises(ModelError, match="the merged model's logits differ from the run's"):
        luthier.export(evaluated, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_only_runs_are_exported(evaluated, run, tmp_path):
    dataset = evaluated.registry.get(run).parents[0]
    with pytest.raises(ModelError, match=f"{dataset} is no run"):
        luthier.export(evaluated, tmp_path / "model", dataset)


@pytest.fixture
def runs(evaluated_shop):
    """A project with two runs."""
    with luthier.open_project(evaluated_shop, overrides=["training.seed=7"]) as project:
        first = luthier.list_artefacts(project, "run")[0].artefact.id
        yield project, (first, luthier.train(project).run)


def test_a_composed_run_is_one_like_any_other(runs):
    project, (first, second) = runs
    made = luthier.compose(project, [first, second], [0.25, 0.75])
    artefact = project.registry.get(made.run)
    assert artefact.parents == (*project.registry.get(first).parents, first, second)
    assert json.loads((made.path / "run.json").read_text())["weights"] == [0.25, 0.75]
    assert luthier.compose(project, [first, second], [0.25, 0.75]).run == made.run
    assert luthier.compose(project, [first, second]).weights == (0.5, 0.5)
    assert luthier.compose(project, [first, second], density=0.5).run != made.run
    luthier.evaluate(project, made.run)
    request = GenerationRequest(made.run, ({"role": "user", "content": "Where is it?"},), max_new_tokens=4)
    assert complete(RunsGenerator(project, open_base(project)), [request])[0].completion_tokens > 0


def test_runs_that_do_not_answer_are_not_composed(runs):
    project, (first, _) = runs
    parents = project.registry.get(first).parents
    project.registry.add(Run(id="run-reader", parents=parents, summary={"task": "masked_lm"}), capture(Path()))
    with pytest.raises(ModelError, match=r"run-reader is of task masked_lm \(runs that answer\)"):
        luthier.compose(project, [first, "run-reader"])


@pytest.mark.parametrize(
    ("chosen", "settings", "sentence"),
    [
        ([0], {}, "there is nothing to compose"),
        ([0, 0], {}, "there is nothing to compose"),
        ([0, 1], {"weights": [1.0]}, "1 weights for 2 runs"),
        ([0, 1], {"density": 1.5}, "no density: 1.5"),
    ],
)
def test_what_cannot_be_composed_is_refused(runs, chosen, settings, sentence):
    project, names = runs
    with pytest.raises(ModelError, match=sentence):
        luthier.compose(project, [names[number] for number in chosen], **settings)
