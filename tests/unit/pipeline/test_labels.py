"""Classification through the pipeline: an encoder and a decoder learn which department a message is for."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

import luthier
from luthier.core.errors import DatasetError, EvaluationError, LuthierError, ModelError

WORDS = {
    "delivery": ("parcel", "delivery", "arrives", "days"),
    "refund": ("refund", "order", "returns", "free"),
    "support": ("support", "assistant", "help", "shop"),
}
METHODS = {
    "full": {"method": "full"},
    "freeze": {"method": "freeze", "last_layers": 1},
    "lora": {"r": 8, "lora_alpha": 16},
}


def lay_out(folder: Path, base: Path, rows: int = 40, **adapter) -> Path:
    luthier.init(folder)
    lines = [
        {"text": f"{words[number % 4]} {words[number // 4 % 4]} number {number}, is it so?", "label": label}
        for label, words in WORDS.items()
        for number in range(rows)
    ]
    (folder / "raw" / "mails.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = yaml.safe_load((folder / "luthier.yaml").read_text(encoding="utf-8"))
    recipe |= {"task": "classification", "model": {"base": str(base), "dtype": "float32"}, "adapter": adapter}
    clean = {"near_duplicates": None}
    recipe["data"] = {"sources": [{"path": "raw/mails.jsonl"}], "clean": clean, "max_length": 64}
    recipe["training"] = {"learning_rate": 5e-3, "num_train_epochs": 12, "packing": False, "eval_steps": 20}
    recipe["training"]["per_device_train_batch_size"] = 16
    recipe["evaluation"] = {}
    (folder / "luthier.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return folder


@pytest.fixture(params=["encoder", "decoder"])
def base_folder(request, tiny_encoder_folder, tiny_model_folder):
    return tiny_encoder_folder if request.param == "encoder" else tiny_model_folder


@pytest.mark.parametrize("method", METHODS)
def test_labels_are_learnt_by_every_method(base_folder, method, tmp_path):
    with luthier.open_project(lay_out(tmp_path / "desk", base_folder, **METHODS[method])) as project:
        luthier.prepare(project)
        assert luthier.plan(project).figures.data.enough is True
        trained = luthier.train(project)
    assert trained.figures["unmoved_weights"] == 0
    assert trained.figures["fast_path"] == "off"
    assert trained.figures["target_tokens"] == trained.figures["rows"] * 12
    curves = json.loads((trained.path / "curves.json").read_text())
    best = min(curves["validation"], key=lambda point: point["loss"])
    assert best["accuracy"] > 0.5  # by chance a third; the models are tiny, and what is frozen is random
    assert best["macro_f1"] > 0.5
    config = json.loads((trained.path / ("adapter" if method == "lora" else "model") / "config.json").read_text())
    assert config["id2label"] == {str(number): label for number, label in enumerate(sorted(WORDS))}


def test_a_new_head_is_sound(tiny_encoder_folder, tmp_path):
    with luthier.open_project(lay_out(tmp_path / "desk", tiny_encoder_folder, **METHODS["lora"])) as project:
        luthier.prepare(project)
        findings = luthier.check(project).findings
    assert [finding.verdict for finding in findings[:2]] == ["pass", "pass"]


def test_one_label_is_nothing_to_tell_apart(tiny_encoder_folder, tmp_path):
    folder = lay_out(tmp_path / "desk", tiny_encoder_folder, **METHODS["lora"])
    path = folder / "raw" / "mails.jsonl"
    path.write_text("".join(line + "\n" for line in path.read_text().splitlines()[:40]))
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
        with pytest.raises(DatasetError, match="there is nothing to tell apart"):
            luthier.train(project)


def test_texts_that_the_model_cannot_read_are_refused(tiny_encoder_folder, tmp_path):
    folder = lay_out(tmp_path / "desk", tiny_encoder_folder, **METHODS["lora"])
    path = folder / "raw" / "mails.jsonl"
    long = {"text": " ".join(["returns are free within 30 days"] * 12), "label": "refund"}
    path.write_text(path.read_text() + json.dumps(long) + "\n")
    with luthier.open_project(folder, overrides=["data.max_length=4096"]) as project:
        luthier.prepare(project)
        with pytest.raises(DatasetError, match=r"has \d+ tokens, and the model reads 64 \(data.max_length: 64"):
            luthier.train(project)


@pytest.fixture(scope="module")
def _trained_desk(tiny_encoder_folder, tmp_path_factory):
    folder = lay_out(tmp_path_factory.mktemp("trained") / "desk", tiny_encoder_folder, **METHODS["full"])
    with luthier.open_project(folder) as project:
        luthier.prepare(project)
        luthier.train(project)
    return folder


@pytest.fixture
def desk(_trained_desk, tmp_path):
    """A workspace of its own for each test, with a run that gives labels."""
    with luthier.open_project(shutil.copytree(_trained_desk, tmp_path / "desk")) as project:
        yield project


def test_a_run_is_measured_beside_guessing_and_then_beside_the_released_one(desk):
    found = luthier.evaluate(desk)
    metrics = found.to_json()["metrics"]
    assert set(metrics) == {
        *("test_accuracy", "test_macro_f1", "test_label_loss", "validation_label_loss"),
        *("test_confidence", "test_calibration_error"),
    }
    assert 0 < metrics["test_calibration_error"]["value"] < 1
    run = desk.registry.get(found.run)
    assert metrics["validation_label_loss"]["value"] == pytest.approx(run.summary["validation_loss"], rel=1e-5)
    guessing = found.assessment.reference_metrics
    assert found.assessment.reference == run.parents[1]
    assert guessing["test_label_loss"].value == pytest.approx(1.0986, abs=0.01)
    assert guessing["test_accuracy"].value == pytest.approx(1 / 3, abs=0.15)
    answers = [json.loads(line) for line in (found.path / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == 12

    luthier.promote(desk, force="to have a reference")
    with luthier.open_project(desk.workspace.root, overrides=["training.seed=1"]) as other:
        second = luthier.train(other).run
        assert luthier.evaluate(other, second).assessment.reference == found.run


def test_runs_of_other_tasks_and_labels_are_no_reference(desk):
    first = desk.registry.latest("run").id
    with luthier.open_project(desk.workspace.root, overrides=["task=chat"]) as other, pytest.raises(LuthierError):
        luthier.evaluate(other, first)
    path = desk.workspace.root / "raw" / "mails.jsonl"
    path.write_text(path.read_text().replace('"refund"', '"money back"'))
    luthier.prepare(desk)
    second = luthier.train(desk).run
    with pytest.raises(EvaluationError, match=r"was trained for other labels than .* has, such as money back"):
        luthier.evaluate(desk, second, against=first)


def test_a_run_gives_texts_their_labels(desk, command):
    texts = ["parcel delivery number 7, is it so?", "refund order number 8, is it so?"]
    found = luthier.classify(desk, texts)
    assert [one.text for one in found] == texts
    assert [one.labels[0][0] for one in found] == ["delivery", "refund"]
    for one in found:
        probabilities = [probability for _, probability in one.labels]
        assert probabilities == sorted(probabilities, reverse=True)
        assert sum(probabilities) == pytest.approx(1)
    alone = luthier.classify(desk, texts[:1], model=desk.registry.latest("run").id)
    assert alone[0].labels[0] == (found[0].labels[0][0], pytest.approx(found[0].labels[0][1], abs=1e-5))
    luthier.evaluate(desk)
    luthier.promote(desk, force="to have a name")
    assert luthier.classify(desk, texts, model=desk.recipe.name) == found
    ended = command(desk.workspace.root, "classify", *texts)
    assert ended.out.splitlines()[0] == texts[0]
    assert ended.out.splitlines()[1].startswith("  delivery ")
    [told] = command(desk.workspace.root, "classify", texts[1], "--json").json["texts"]
    assert told["text"] == texts[1]
    assert [label["label"] for label in told["labels"]] == [label for label, _ in found[1].labels]
    assert told["labels"][0]["probability"] == pytest.approx(found[1].labels[0][1], abs=1e-5)


def test_what_cannot_be_classified_is_said_in_a_sentence(desk, command):
    with pytest.raises(ModelError, match=r"a text has \d+ tokens, and the model reads 64"):
        luthier.classify(desk, ["returns are free " * 40])
    with (
        luthier.open_project(desk.workspace.root, overrides=["task=chat"]) as other,
        pytest.raises(ModelError, match=r"task: run-.* gives no labels \(a run of task classification\)"),
    ):
        luthier.classify(other, ["Where is it?"])
    assert command(desk.workspace.root, "chat").err.startswith("luthier: task: this needs a model that answers")
