"""Classifiers of both kinds of models train what the method says, and others load them with equal logits."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoConfig, AutoModelForSequenceClassification

from luthier.core.errors import ModelError
from luthier.core.identity import file_digest
from luthier.core.recipe import AdapterSection
from luthier.models.adapter import trainable
from luthier.models.classifier import Classifier, labels_in, load_classifier, load_trained_classifier
from luthier.models.loading import NewHead, load_model
from luthier.models.methods import load_trained, prepare, save_trained
from luthier.models.sources import BaseFiles, model_files

LABELS = ("card", "delivery", "refund")
TEXTS = ((7, 8, 9, 10, 11), (12, 13), (14, 15, 16))
METHODS = {
    "full": AdapterSection(method="full"),
    "freeze": AdapterSection(method="freeze", last_layers=1),
    "lora": AdapterSection(r=4, lora_alpha=8),
    "ia3": AdapterSection(method="ia3"),
    "dora": AdapterSection(r=4, lora_alpha=8, use_dora=True),
}


@pytest.fixture(params=["encoder", "decoder"])
def files(request: pytest.FixtureRequest, tiny_encoder_folder: Path, tiny_base: BaseFiles) -> BaseFiles:
    if request.param == "decoder":
        return tiny_base
    return BaseFiles("tiny-bert", tiny_encoder_folder, file_digest(model_files(tiny_encoder_folder)))


def new(files: BaseFiles, seed: int = 0, labels: tuple[str, ...] = LABELS) -> NewHead:
    return load_classifier(files, labels, "float32", seed, padding=2)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return Classifier(model).logits(TEXTS)


def alone(model: Any) -> torch.Tensor:
    """Each text by the model itself, without any padding."""
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([text])).logits for text in TEXTS])


def tuned(files: BaseFiles, method: str) -> Any:
    head = new(files)
    model = prepare(head.model, METHODS[method], 0, head.weights)
    with torch.no_grad():
        for number, parameter in enumerate(trainable(model).values()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return model


def test_only_the_head_is_new_and_random_by_the_seed(files: BaseFiles) -> None:
    head, again, other = new(files, 0), new(files, 0), new(files, 1)

    weights = [dict(one.model.named_parameters()) for one in (head, again, other)]
    differ = {name for name in weights[0] if not torch.equal(weights[0][name], weights[2][name])}
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert differ
    assert differ <= set(head.weights)
    assert not any(parameter.requires_grad for parameter in head.model.parameters())


def test_logits_are_those_that_each_text_has_alone(files: BaseFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tuned(files, "full")
    torch.testing.assert_close(logits(model), alone(model))
    monkeypatch.setattr("luthier.models.classifier.TOKENS_PER_BATCH", 6)
    torch.testing.assert_close(logits(model), alone(model))


@pytest.mark.parametrize("method", METHODS)
def test_the_head_trains_whatever_the_method(method: str, files: BaseFiles) -> None:
    head = new(files)
    base = [name for name, _ in head.model.named_parameters() if not name.startswith(head.weights)]

    names = trainable(prepare(head.model, METHODS[method], 0, head.weights))

    assert all(any(weight.rpartition(".")[0] in name for name in names) for weight in head.weights)
    assert (set(base) <= set(names)) == (method == "full")


@pytest.mark.parametrize("method", METHODS)
def test_what_was_saved_is_loaded_by_us_and_by_others(
    method: str, files: BaseFiles, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    model = tuned(files, method)
    expected = alone(model)

    save_trained(model, tmp_path, files.name, tiny_tokenizer)

    ours = load_trained(tmp_path, lambda: new(files).model, "float32", load_trained_classifier(LABELS, 0))
    torch.testing.assert_close(logits(ours), expected)
    assert Classifier(ours).labels == LABELS
    if (tmp_path / "model").is_dir():
        theirs: Any = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    else:
        config = AutoConfig.from_pretrained(tmp_path / "adapter")
        assert config.id2label == dict(enumerate(LABELS))
        base: Any = AutoModelForSequenceClassification.from_pretrained(files.folder, config=config)
        theirs = PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    torch.testing.assert_close(alone(theirs), expected)
    assert set(LABELS) == set(theirs.config.label2id)


def test_a_folder_tells_its_labels(files: BaseFiles, tiny_tokenizer: Any, tmp_path: Path) -> None:
    assert labels_in(files.folder) is None
    save_trained(tuned(files, "full"), tmp_path, "tiny", tiny_tokenizer)
    assert labels_in(tmp_path / "model") == LABELS


def test_a_classifier_goes_on_with_its_labels_only(files: BaseFiles, tiny_tokenizer: Any, tmp_path: Path) -> None:
    model = tuned(files, "full")
    save_trained(model, tmp_path, "tiny", tiny_tokenizer)
    trained = BaseFiles("trained", tmp_path / "model", "")

    again = new(trained)

    assert again.weights == ()
    torch.testing.assert_close(logits(again.model), logits(model))
    with pytest.raises(ModelError, match=r"^trained: the model gives other labels than the dataset has: card"):
        new(trained, labels=("card", "delivery", "rest"))


def test_a_decoder_needs_a_padding_token(tiny_base: BaseFiles, tmp_path: Path) -> None:
    folder = tmp_path / "no-padding"
    shutil.copytree(tiny_base.folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": None}))

    with pytest.raises(ModelError, match="the tokenizer has no padding token"):
        load_classifier(BaseFiles("tiny", folder, ""), LABELS, "float32", 0, padding=None)


def test_a_configuration_that_cannot_be_read_is_said(tiny_base: BaseFiles, tmp_path: Path) -> None:
    folder = tmp_path / "unknown"
    shutil.copytree(tiny_base.folder, folder)
    (folder / "config.json").write_text('{"model_type": "no-such-thing"}')

    with pytest.raises(ModelError, match=r"unknown: cannot read its configuration"):
        load_classifier(BaseFiles("odd", folder, ""), LABELS, "float32", 0, padding=0)


def test_weights_below_the_head_may_not_be_missing(tiny_encoder_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "damaged"
    shutil.copytree(tiny_encoder_folder, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})

    with pytest.raises(ModelError, match=r"1 weights are missing, the first: bert\.encoder\.layer\.1"):
        load_classifier(BaseFiles("damaged", folder, ""), LABELS, "float32", 0, padding=0)


def test_a_causal_model_is_still_refused_where_its_head_is_missing(tiny_encoder_folder: Path) -> None:
    with pytest.raises(ModelError, match=r"weights are missing|cannot load the model"):
        load_model(BaseFiles("tiny-bert", tiny_encoder_folder, ""), "float32")
