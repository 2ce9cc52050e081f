"""Classification through the pipeline: an encoder and a decoder learn which department a message is for."""

import json
from pathlib import Path

import pytest
import yaml

import luthier
from luthier.core.errors import DatasetError

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
