"""`luthier demo` on a few rows of the sample and a tiny model."""

import json

import pytest
import yaml

from luthier.pipeline.demo import copy_sample, shorten
from luthier.pipeline.project import load_recipe, open_project

FILES = {"tickets.csv", "chats.jsonl", "handbook.md"}


@pytest.fixture
def small_sample(tmp_path, tiny_model_folder, monkeypatch):
    """A workspace that the demo finds and keeps: the sample's files, shortened, and its recipe over the tiny model. To
    train it three epochs is taken to be too long."""
    monkeypatch.setattr("luthier.pipeline.demo.LONGEST_TRAINING", 1e-3)
    folder = tmp_path / "demo"
    copy_sample(folder)
    for path in ((folder / "raw" / "chats.jsonl"), (folder / "raw" / "handbook.md"), (folder / "golden.jsonl")):
        lines = path.read_text(encoding="utf-8-sig").splitlines(keepends=True)
        path.write_text("".join(lines[:40] if path.name != "golden.jsonl" else lines[:5]), encoding="utf-8")
    (folder / "raw" / "tickets.csv").write_text("ticket_id,body,reply\n1,Do you open on Sundays too?,We do from ten.\n")
    recipe = yaml.safe_load((folder / "luthier.yaml").read_text(encoding="utf-8"))
    recipe["model"] = {"base": str(tiny_model_folder), "dtype": "float32"}
    recipe["training"] |= {"num_train_epochs": 3, "eval_steps": 5, "health": False}  # weights are random
    recipe["evaluation"]["max_new_tokens"] = 4
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    return folder


def test_the_demo_runs_the_whole_cycle(command, small_sample, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    raw = {path: path.read_bytes() for path in (small_sample / "raw").iterdir()}
    ended = command(tmp_path, "demo", small_sample, "--json")
    assert ended.code == 0, ended.err
    found = ended.json
    assert {"base", "tuned", "verdict", "train", "seconds"} <= set(found)
    assert found["base"] == found["tuned"] == {"facts": 0.0}  # nothing is learnt from so few rows
    assert found["verdict"] == "inconclusive"
    assert found["release"] is None
    assert found["train"]["tokens"] > 0
    assert len(found["asked"]) == 3
    assert all(one["base"] != one["tuned"] for one in found["asked"])
    lineage = "\n".join(found["lineage"])
    for name in (*FILES, found["train"]["run"], "chatcmpl-", "feedback-"):
        assert name in lineage
    for step in range(1, 7):
        assert f"{step} of 6: " in ended.err
    assert "3 epochs would take about " in ended.err
    assert "each read once:" in ended.err
    assert found["train"]["epochs"] == 1
    assert "each read 3 times" not in ended.err, "what is told is what is done"
    assert {path: path.read_bytes() for path in raw} == raw, "files that were there stay as they are"


def test_the_sample_is_copied_whole_and_only_once(tmp_path):
    copy_sample(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".luthier", "golden.jsonl", "luthier.yaml", "raw"}
    assert {path.name for path in (tmp_path / "raw").iterdir()} == FILES
    (tmp_path / "golden.jsonl").write_text("mine")
    (tmp_path / "luthier.yaml").write_text("mine")
    (tmp_path / "raw" / "handbook.md").unlink()
    copy_sample(tmp_path)
    assert (tmp_path / "golden.jsonl").read_text() == (tmp_path / "luthier.yaml").read_text() == "mine"
    assert (tmp_path / "raw" / "handbook.md").stat().st_size > 1000


@pytest.mark.parametrize(
    ("setup", "each", "epochs"),
    [(0, 100, 3), (0, 160, 3), (0, 233, 2), (0, 400, 1), (0, 30_000, 1), (100, 120, 3), (300, 80, 2), (500, 10, 1)],
)
def test_a_slow_machine_trains_fewer_epochs(tmp_path, setup, each, epochs):
    """Of `setup` seconds, which are spent once, fewer epochs save nothing."""
    copy_sample(tmp_path)
    before = (tmp_path / "luthier.yaml").read_text(encoding="utf-8")
    with open_project(tmp_path) as project:
        assert project.recipe.training.num_train_epochs == 3
        assert shorten(project, lambda epochs: setup + epochs * each) == epochs
    assert load_recipe(tmp_path / "luthier.yaml").training.num_train_epochs == epochs
    after = (tmp_path / "luthier.yaml").read_text(encoding="utf-8")
    assert after == before.replace("num_train_epochs: 3", f"num_train_epochs: {epochs}"), "nothing else is touched"


def test_the_demo_needs_questions(command, small_sample, tmp_path):
    recipe = yaml.safe_load((small_sample / "luthier.yaml").read_text(encoding="utf-8"))
    del recipe["evaluation"]
    (small_sample / "luthier.yaml").write_text(json.dumps(recipe))
    ended = command(tmp_path, "demo", small_sample)
    assert ended.code == 1
    assert ended.err.endswith("the demo asks evaluation.questions, which this recipe lacks\n")
