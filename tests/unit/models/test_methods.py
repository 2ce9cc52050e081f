"""Every method trains what it says, and what it saves is loaded by PEFT or transformers alone, with equal logits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from luthier.core.errors import ModelError, WorkspaceError
from luthier.core.recipe import AdapterSection
from luthier.models.adapter import trainable
from luthier.models.methods import load_trained, prepare, refuse_lossy, save_trained, shares_base

MakeModel = Callable[[str], Any]
METHODS = {
    "lora": AdapterSection(r=4, lora_alpha=8),
    "dora": AdapterSection(r=4, lora_alpha=8, use_dora=True),
    "lora with biases": AdapterSection(r=4, lora_alpha=8, bias="all"),
    "lora with its biases": AdapterSection(r=4, lora_alpha=8, target_modules="q_proj", bias="lora_only"),
    "ia3": AdapterSection(method="ia3"),
    "full": AdapterSection(method="full"),
    "freeze": AdapterSection(method="freeze", last_layers=1, train_modules=("*norm*",)),
}


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = model(input_ids=torch.arange(40)[None] * 7).logits
    return output


def tuned(model: Any, settings: AdapterSection) -> Any:
    """The model with everything moved that trains."""
    ready = prepare(model, settings, 0)
    with torch.no_grad():
        for number, parameter in enumerate(trainable(ready).values()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return ready


@pytest.mark.parametrize("method", METHODS)
def test_what_was_saved_is_loaded_by_us_and_by_others(
    method: str, make_model: MakeModel, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    """Qwen2 has biases in some of its layers."""
    before = logits(make_model("Qwen2"))
    model = tuned(make_model("Qwen2"), METHODS[method])
    expected = logits(model)
    assert float((expected - before).abs().max()) > 0.001

    save_trained(model, tmp_path, "tiny", tiny_tokenizer)
    refuse_lossy(model, tmp_path)
    assert torch.equal(logits(model), expected)

    loaded = load_trained(tmp_path, lambda: make_model("Qwen2"), "float32")
    assert torch.equal(logits(loaded), expected)
    assert trainable(loaded) == {}
    if (tmp_path / "model").is_dir():
        theirs: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
        tokenizer: Any = AutoTokenizer.from_pretrained(tmp_path / "model")
        assert tokenizer("a parcel") == tiny_tokenizer("a parcel")
    else:
        theirs = PeftModel.from_pretrained(make_model("Qwen2"), str(tmp_path / "adapter"))
    torch.testing.assert_close(logits(theirs), expected, rtol=0, atol=5e-6)
    assert shares_base(tmp_path) == (method in ("lora", "dora", "ia3"))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_begins_as_the_base_model(method: str, make_model: MakeModel) -> None:
    torch.testing.assert_close(
        logits(prepare(make_model("Qwen2"), METHODS[method], 0)), logits(make_model("Qwen2")), rtol=0, atol=2e-6
    )


def trained(model: Any, **settings: Any) -> set[str]:
    return set(trainable(prepare(model, AdapterSection(**settings), 0)))


def test_full_trains_every_weight(tiny_model: Any) -> None:
    assert trained(tiny_model, method="full") == {name for name, _ in tiny_model.named_parameters()}


def test_freeze_trains_the_layers_and_modules_that_are_named(make_model: MakeModel) -> None:
    names = {name for name, _ in make_model("Llama").named_parameters()}

    def layer(number: int) -> set[str]:
        return {name for name in names if f"layers.{number}." in name}

    assert trained(make_model("Llama"), method="freeze", first_layers=1) == layer(0)
    assert trained(make_model("Llama"), method="freeze", last_layers=1) == layer(1)
    assert trained(make_model("Llama"), method="freeze", last_layers=2) == layer(0) | layer(1)
    norms = trained(make_model("Llama"), method="freeze", train_modules=["*norm*"])
    assert norms == {name for name in names if "norm" in name}
    only = trained(make_model("Llama"), method="freeze", train_modules=["model.layers.1.mlp"])
    assert only == {name for name in layer(1) if ".mlp." in name}


def test_layers_of_gpt2_can_be_frozen_too(make_model: MakeModel) -> None:
    assert all(".h.1." in name for name in trained(make_model("GPT2"), method="freeze", last_layers=1))


def test_biases_train_where_they_are_asked_for(make_model: MakeModel) -> None:
    def biases(**settings: Any) -> set[str]:
        return {
            name.split(".")[-2 if name.endswith("lora_B.default.weight") else -3]
            for name in trained(make_model("Qwen2"), r=4, target_modules="q_proj", **settings)
            if name.endswith("bias")
        }

    assert biases() == set()
    assert biases(bias="lora_only") == {"q_proj"}
    assert biases(bias="all") > {"q_proj"}


def test_ia3_trains_a_factor_for_each_output(tiny_model: Any) -> None:
    model = prepare(tiny_model, METHODS["ia3"], 0)

    assert all(".ia3_l." in name for name in trainable(model))
    assert {parameter.numel() for parameter in trainable(model).values()} == {16, 64}  # keys and values; inner layer


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"last_layers": 3}, r"^adapter\.last_layers: the model has 2 layers \(up to 2\)"),
        ({"first_layers": 9}, r"^adapter\.first_layers: the model has 2 layers"),
        (
            {"train_modules": ["lm_hed"]},
            r"^adapter\.train_modules: no module is called 'lm_hed' \(did you mean lm_head",
        ),
        ({"train_modules": ["zzz*"]}, r"no module is called 'zzz\*' \(such as .*down_proj"),
    ],
)
def test_layers_and_modules_that_are_not_there_are_refused(
    settings: dict[str, Any], message: str, tiny_model: Any
) -> None:
    with pytest.raises(ModelError, match=message):
        prepare(tiny_model, AdapterSection(method="freeze", **settings), 0)


def test_an_architecture_that_peft_does_not_know_has_no_ia3(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="cannot put an adapter on this model"):
        prepare(make_model("StableLm"), METHODS["ia3"], 0)


def test_gone_files_are_a_plain_error(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"the trained weights are gone \(train again: luthier train\)"):
        load_trained(tmp_path, lambda: tiny_model, "float32")


def test_a_full_disk_is_a_plain_error(
    tiny_model: Any, tiny_tokenizer: Any, tmp_path: Path, file_size_limit: Callable[[int], Any]
) -> None:
    model = tuned(tiny_model, METHODS["full"])

    with file_size_limit(5_000), pytest.raises(WorkspaceError, match="cannot write"):
        save_trained(model, tmp_path, "tiny", tiny_tokenizer)


@pytest.mark.parametrize("method", [*METHODS, "pissa"])
@pytest.mark.parametrize("change", ["lost", "another", "renamed"])
def test_what_is_lost_in_saving_is_found(
    method: str, change: str, make_model: MakeModel, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    settings = METHODS.get(method) or AdapterSection(r=4, init_lora_weights="pissa")
    model = tuned(make_model("Qwen2"), settings)
    save_trained(model, tmp_path, "tiny", tiny_tokenizer)
    refuse_lossy(model, tmp_path)
    [path] = tmp_path.rglob("*.safetensors")
    tensors = load_file(path)
    name = next(name for name in tensors if "layers.1." in name and ("lora_" in name or "lora" not in method))
    tensor = tensors.pop(name)
    if change != "lost":
        tensors[name if change == "another" else f"{name}s"] = tensor + 1e-3
    save_file(tensors, path, metadata={"format": "pt"})

    message = "saved with other values" if change == "another" else "a weight that trains was not saved"
    with pytest.raises(ModelError, match=message):
        refuse_lossy(model, tmp_path)


def test_what_peft_does_not_find_again_is_refused(tiny_model: Any, tiny_tokenizer: Any, tmp_path: Path) -> None:
    model = tuned(tiny_model, METHODS["lora"])
    save_trained(model, tmp_path, "tiny", tiny_tokenizer)
    config = tmp_path / "adapter" / "adapter_config.json"
    content = json.loads(config.read_text())
    config.write_text(json.dumps(content | {"target_modules": ["q_proj"]}))

    with pytest.raises(ModelError, match="what was saved does not fit the model again"):
        refuse_lossy(model, tmp_path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ('{"r":', "Expecting value"),
        ('{"peft_type": "NONE"}', "adapter_config.json has fields or values that PEFT does not know"),
        ("[]", "adapter_config.json has fields or values that PEFT does not know"),
    ],
)
def test_damaged_settings_of_an_adapter_are_one_sentence(tmp_path: Path, settings: str, sentence: str) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text(settings)

    with pytest.raises(ModelError, match=f"adapter: cannot load the adapter: {sentence}"):
        shares_base(tmp_path)
