"""Adapters are PEFT's: what we save, plain PEFT loads, with equal logits."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from luthier.core.errors import ModelError, WorkspaceError
from luthier.core.recipe import AdapterSection
from luthier.models.adapter import (
    attach_adapter,
    learning_rate_ratios,
    load_adapter,
    lora_layers,
    save_adapter,
    trainable,
    without_adapter,
)

MakeModel = Callable[[str], Any]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = model(input_ids=torch.arange(40)[None] * 7).logits
    return output


LORA = AdapterSection(r=4, lora_alpha=8)
VARIANTS = {
    "lora": LORA,
    "rslora": LORA.model_copy(update={"use_rslora": True}),
    "dora": LORA.model_copy(update={"use_dora": True}),
    "pissa": LORA.model_copy(update={"init_lora_weights": "pissa"}),
    "pissa and rslora": LORA.model_copy(update={"init_lora_weights": "pissa", "use_rslora": True}),
}


def tuned(model: Any, settings: AdapterSection = LORA) -> Any:
    """The model with an adapter that changes what it says."""
    adapted = attach_adapter(model, settings, 0)
    with torch.no_grad():
        for number, parameter in enumerate(trainable(adapted).values()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return adapted


def sizes(model: Any) -> int:
    """How many weights train."""
    return sum(parameter.numel() for parameter in trainable(model).values())


def shapes(model: Any) -> list[tuple[int, int]]:
    """(in_features, out_features) of each adapted layer."""
    return [(layer.in_features, layer.out_features) for layer in lora_layers(model)]


def test_fresh_adapter_changes_nothing_and_alone_trains(tiny_model: Any) -> None:
    before = logits(tiny_model)

    model = attach_adapter(tiny_model, AdapterSection(r=4, lora_alpha=8), 0)

    assert torch.equal(logits(model), before)
    assert len(trainable(model)) == 2 * 2 * 7
    assert all(".lora_A." in name or ".lora_B." in name for name in trainable(model))
    assert sizes(model) == sum(4 * sum(pair) for pair in shapes(model))


def test_under_an_adapter_lies_the_model_itself(tiny_model: Any) -> None:
    assert without_adapter(tiny_model) is tiny_model
    assert without_adapter(attach_adapter(tiny_model, LORA, 0)) is tiny_model


def test_adapter_weights_are_fp32_on_a_bfloat16_model(tiny_model: Any) -> None:
    model = attach_adapter(tiny_model.bfloat16(), AdapterSection(r=4, lora_alpha=8), 0)

    assert {parameter.dtype for parameter in trainable(model).values()} == {torch.float32}


def test_seed_decides_the_start_and_leaves_the_global_generator_alone(make_model: MakeModel) -> None:
    state = torch.random.get_rng_state()

    first, again, other = (
        trainable(attach_adapter(make_model("Llama"), AdapterSection(r=4, lora_alpha=8), s)) for s in (1, 1, 2)
    )

    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("targets", ["q_proj", ("q_proj", "down_proj"), ["q_proj", "down_proj"]])
def test_targets_name_the_layers(targets: Any, tiny_model: Any) -> None:
    model = attach_adapter(tiny_model, AdapterSection(r=4, lora_alpha=8, target_modules=targets), 0)

    wanted = {targets} if isinstance(targets, str) else set(targets)
    assert {name.split(".")[-4] for name in trainable(model)} == wanted


@pytest.mark.parametrize(
    ("targets", "hint"),
    [
        ("q_prj", r"did you mean q_proj\?"),
        (["q_proj", "gate_porj"], r"did you mean gate_proj\?"),
        ("lm_head", "all-linear, or some of: down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"),
        ("zzz", "all-linear, or some of: down_proj"),
        (".*", "all-linear, or some of: down_proj"),
    ],
)
def test_unknown_targets_are_refused_with_those_that_come_close(targets: Any, hint: str, tiny_model: Any) -> None:
    with pytest.raises(ModelError, match=rf"^adapter\.target_modules: no linear layer is called .*\({hint}"):
        attach_adapter(tiny_model, AdapterSection(r=4, lora_alpha=8, target_modules=targets), 0)


def test_layers_of_gpt2_count_as_linear(make_model: MakeModel) -> None:
    """GPT-2 keeps its weights transposed, in a class of its own."""
    model = attach_adapter(make_model("GPT2"), AdapterSection(r=4, lora_alpha=8), 0)

    assert shapes(model) == [(32, 96), (32, 32), (32, 128), (128, 32)] * 2
    assert sizes(model) == sum(4 * sum(pair) for pair in shapes(model))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_begins_as_the_base_model(variant: str, tiny_model: Any) -> None:
    before = logits(tiny_model)

    model = attach_adapter(tiny_model, VARIANTS[variant], 0)

    torch.testing.assert_close(logits(model), before, rtol=0, atol=2e-6)
    assert {parameter.dtype for parameter in trainable(model).values()} == {torch.float32}


def test_pissa_begins_with_the_largest_singular_values(tiny_model: Any) -> None:
    named = dict(tiny_model.named_modules())
    before = {name: module.weight.detach().clone() for name, module in named.items() if name.endswith("_proj")}

    model = attach_adapter(tiny_model, VARIANTS["pissa"], 0)

    for name, layer in model.base_model.model.named_modules():
        if name in before:
            part = 2 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            least = torch.linalg.svdvals(before[name])[4:].norm()  # that any matrix of rank 4 leaves (Eckart and Young)
            assert least <= layer.get_base_layer().weight.norm() * 1.0001 < least * 1.01
            torch.testing.assert_close(part + layer.get_base_layer().weight, before[name], rtol=0, atol=1e-5)


def test_dora_trains_a_magnitude_for_each_output(tiny_model: Any) -> None:
    model = attach_adapter(tiny_model, VARIANTS["dora"], 0)

    assert sizes(model) == sum(4 * (inner + outer) + outer for inner, outer in shapes(model))


def test_only_the_matrices_b_learn_faster(tiny_model: Any) -> None:
    names = trainable(attach_adapter(tiny_model, VARIANTS["dora"], 0))

    ratios = learning_rate_ratios(names, 16.0)

    assert set(ratios.values()) == {16.0}
    assert set(ratios) == {name for name in names if name.endswith("lora_B.default.weight")}


@pytest.mark.parametrize("variant", VARIANTS)
def test_plain_peft_loads_what_was_saved(
    variant: str, tiny_model: Any, tiny_model_folder: Path, tmp_path: Path
) -> None:
    model = tuned(tiny_model, VARIANTS[variant])
    base: Any = AutoModelForCausalLM.from_pretrained(tiny_model_folder)
    base_logits = logits(base)

    save_adapter(model, tmp_path, "pypi:tiny==1.0")

    loaded: Any = PeftModel.from_pretrained(base, str(tmp_path))
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=1e-6 if variant == "lora" else 5e-6)
    assert float((logits(loaded) - base_logits).abs().max()) > 0.01


@pytest.mark.parametrize("family", ["Llama", "GPT2"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_loaded_adapter_is_frozen_and_says_the_same(
    family: str, variant: str, make_model: MakeModel, tmp_path: Path
) -> None:
    model = tuned(make_model(family), VARIANTS[variant])
    save_adapter(model, tmp_path, "tiny")

    loaded = load_adapter(make_model(family), tmp_path)

    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=0 if "pissa" not in variant else 5e-6)
    assert trainable(loaded) == {}


def test_saved_folder_holds_no_path_of_this_machine(tiny_model: Any, tiny_model_folder: Path, tmp_path: Path) -> None:
    save_adapter(tuned(tiny_model), tmp_path, "pypi:tiny==1.0")

    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "pypi:tiny==1.0"
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"adapter_config.json", "adapter_model.safetensors"}
    for path in files:
        assert str(tiny_model_folder).encode() not in path.read_bytes(), path.name


def test_full_disk_is_a_plain_error(
    tiny_model: Any, tmp_path: Path, file_size_limit: Callable[[int], AbstractContextManager[None]]
) -> None:
    model = tuned(tiny_model)

    with file_size_limit(5_000), pytest.raises(WorkspaceError, match="cannot write"):
        save_adapter(model, tmp_path / "adapter", "tiny")


def test_missing_adapter_is_refused(tiny_model: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no adapter_model\.safetensors"):
        load_adapter(tiny_model, tmp_path)


@pytest.mark.parametrize("change", ["lacks one", "has one more"])
def test_adapter_with_other_weights_is_refused(
    change: str, tiny_model: Any, make_model: MakeModel, tmp_path: Path
) -> None:
    save_adapter(tuned(make_model("Llama")), tmp_path, "tiny")
    weights = tmp_path / "adapter_model.safetensors"
    tensors = load_file(weights)
    name = next(iter(tensors))
    tensor = tensors.pop(name) if change == "lacks one" else tensors[name].clone()
    if change == "has one more":
        tensors[name.replace("layers.0", "layers.7").replace("layers.1", "layers.7")] = tensor
    save_file(tensors, weights)

    with pytest.raises(ModelError, match="the adapter is of another model"):
        load_adapter(tiny_model, tmp_path)


def test_adapter_of_another_size_is_refused(tiny_model: Any, make_model: MakeModel, tmp_path: Path) -> None:
    save_adapter(tuned(make_model("Llama")), tmp_path, "tiny")
    weights = tmp_path / "adapter_model.safetensors"
    save_file({name: torch.cat([tensor, tensor], -1) for name, tensor in load_file(weights).items()}, weights)

    with pytest.raises(ModelError, match="cannot load the adapter"):
        load_adapter(tiny_model, tmp_path)


def test_damaged_adapter_is_refused(tiny_model: Any, make_model: MakeModel, tmp_path: Path) -> None:
    save_adapter(tuned(make_model("Llama")), tmp_path, "tiny")
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])

    with pytest.raises(ModelError, match="cannot load the adapter"):
        load_adapter(tiny_model, tmp_path)


def test_adapter_in_pickle_is_refused(tiny_model: Any, make_model: MakeModel, tmp_path: Path) -> None:
    save_adapter(tuned(make_model("Llama")), tmp_path, "tiny")
    weights = tmp_path / "adapter_model.safetensors"
    torch.save(load_file(weights), tmp_path / "adapter_model.bin")
    weights.unlink()

    with pytest.raises(ModelError, match="safetensors"):
        load_adapter(tiny_model, tmp_path)
