"""What adapters change, read from PEFT's files, and which of them are in memory."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from luthier.core.errors import ModelError
from luthier.kernels.stacked_lora import AdapterPlan
from luthier.models.adapter_stack import AdapterFiles, AdapterStack

WEIGHTS = "adapter_model.safetensors"


def _save(model, folder, **settings):
    config = LoraConfig(**{"r": 2, "target_modules": ["q_proj"]} | settings)
    get_peft_model(model, config).save_pretrained(folder, save_embedding_layers=False)
    return folder


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modules_to_save": ["lm_head"]}, "lm_head"),
        ({"bias": "lora_only"}, "bias"),
        ({"target_modules": ["q_proj", "embed_tokens"]}, "embed_tokens"),
    ],
)
def test_what_cannot_be_stacked_is_refused_by_name(settings, message, make_model, tmp_path):
    _save(make_model("Qwen2"), tmp_path, **settings)
    with pytest.raises(ModelError, match=rf"{message}.*cannot be served beside others \(LoRA, DoRA and IA3"):
        AdapterFiles(make_model("Qwen2"), tmp_path).read()


def test_an_adapter_on_the_head_is_refused(make_model, tmp_path):
    _save(make_model("Phi"), tmp_path, target_modules=["q_proj", "lm_head"])
    with pytest.raises(ModelError, match="it changes lm_head"):
        AdapterFiles(make_model("Phi"), tmp_path)


def test_an_adapter_of_a_kind_that_is_unknown_here_is_refused(make_model, tmp_path):
    from peft import VeraConfig

    get_peft_model(make_model("Llama"), VeraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"vera_lambda.*cannot be served beside others"):
        AdapterFiles(make_model("Llama"), tmp_path).read()


def test_an_adapter_with_undefined_weights_is_refused(make_model, tmp_path):
    weights = load_file(_save(make_model("Llama"), tmp_path) / WEIGHTS)
    next(iter(weights.values()))[0, 0] = torch.nan
    save_file(weights, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match="infinite or undefined"):
        AdapterFiles(make_model("Llama"), tmp_path).read()


@pytest.fixture
def files(make_model, tmp_path):
    """Three adapters by name, the last of a larger rank."""
    ranks = {"a": 2, "b": 2, "c": 3}
    return {
        name: AdapterFiles(make_model("Llama"), _save(make_model("Llama"), tmp_path / name, r=rank))
        for name, rank in ranks.items()
    }


def _stack(make_model, adapters):
    """A stack with room for so many adapters of rank 2, on q_proj of two layers."""
    return AdapterStack(make_model("Llama"), [], AdapterPlan(), adapters * 2 * 2 * (32 + 32) * 4)


def test_the_adapter_used_longest_ago_leaves_memory_and_comes_back(make_model, files):
    stack = _stack(make_model, 2)
    stack.add("a", files["a"], files["a"].read(), ())
    stack.add("b", files["b"], files["b"].read(), ())
    assert stack.resident == ("a", "b")
    assert stack.prepare("a", ())
    assert stack.resident == ("b", "a")
    stack.add("again", files["b"], files["b"].read(), ())
    assert stack.resident == ("a", "again")
    assert stack.names == ("a", "b", "again")
    assert stack.prepare("b", ["again"])
    assert stack.resident == ("again", "b")


def test_what_is_in_use_stays_and_a_newcomer_waits(make_model, files):
    stack = _stack(make_model, 2)
    for name in ("a", "b"):
        stack.add(name, files[name], files[name].read(), ())
    stack.add("c", files["c"], files["c"].read(), ["a", "b"])
    assert stack.resident == ("a", "b")
    assert not stack.prepare("c", ["a", "b"])
    assert not stack.prepare("c", ["b"])  # of its rank there is room for one
    assert stack.prepare("c", ())
    assert stack.resident == ("c",)


def test_an_adapter_that_is_removed_gives_its_place(make_model, files):
    stack = _stack(make_model, 1)
    stack.add("a", files["a"], files["a"].read(), ())
    stack.remove("a")
    assert stack.names == stack.resident == ()
    stack.add("b", files["b"], files["b"].read(), ())
    assert stack.resident == ("b",)
