"""What is loaded is whole, finite and safe."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from luthier.core.errors import ModelError
from luthier.core.recipe import Dtype
from luthier.models.loading import load_model, load_tokenizer, plain_attention, resolve_dtype
from luthier.models.sources import BaseFiles


@pytest.fixture
def copied(tiny_model_folder: Path, tmp_path: Path) -> BaseFiles:
    """The tiny model in a folder of its own, to be damaged."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_model_folder, folder)
    return BaseFiles("org/tiny", folder, "")


def change_weights(files: BaseFiles, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    path = files.folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


def change_config(files: BaseFiles, **fields: Any) -> None:
    path = files.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_multiplies_it(
    capabilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)

    assert resolve_dtype("auto") == expected
    assert resolve_dtype("bfloat16") == "bfloat16"
    assert resolve_dtype("float32") == "float32"


@pytest.mark.parametrize(("dtype", "expected"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)])
def test_loads_frozen_weights_of_the_precision_asked_for(
    dtype: Dtype, expected: torch.dtype, tiny_base: BaseFiles
) -> None:
    model = load_model(tiny_base, dtype)

    assert {parameter.dtype for parameter in model.parameters()} == {expected}
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert not model.training
    saved = load_file(tiny_base.folder / "model.safetensors")["model.norm.weight"]
    assert torch.equal(model.state_dict()["model.norm.weight"], saved.to(expected))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(value: float, copied: BaseFiles) -> None:
    change_weights(copied, lambda tensors: tensors["model.layers.1.mlp.up_proj.weight"][3, 4].fill_(value))

    with pytest.raises(ModelError, match=r"^org/tiny: the weights of model\.layers\.1\.mlp\.up_proj\.weight hold"):
        load_model(copied, "float32")


def test_missing_weights_are_refused(copied: BaseFiles) -> None:
    change_weights(copied, lambda tensors: [tensors.pop(name) for name in list(tensors) if "layers.1.mlp" in name])

    with pytest.raises(ModelError, match=r"^org/tiny: 3 weights are missing, the first: model\.layers\.1\.mlp\.down"):
        load_model(copied, "float32")


def test_weights_of_another_size_are_refused(copied: BaseFiles) -> None:
    change_config(copied, intermediate_size=48)

    with pytest.raises(
        ModelError, match=r"^org/tiny: the weights of model.* have the shape \(.*\), config.json makes it"
    ):
        load_model(copied, "float32")


@pytest.mark.parametrize("kept", [0, 7, 1000, 40_000], ids="{} bytes".format)
def test_cut_off_weights_are_refused(kept: int, copied: BaseFiles) -> None:
    weights = copied.folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])

    with pytest.raises(ModelError, match=r"^org/tiny: cannot load the model"):
        load_model(copied, "float32")


@pytest.mark.parametrize(
    "fields",
    [
        {"hidden_act": "gelu_typo"},
        {"model_type": "no-such-model"},
        {"model_type": "t5"},
        {"hidden_size": "wide"},
        {"num_attention_heads": 5},
    ],
    ids=str,
)
def test_configuration_that_makes_no_causal_model_is_refused(fields: dict[str, Any], copied: BaseFiles) -> None:
    change_config(copied, **fields)

    with pytest.raises(ModelError, match=r"^org/tiny: ") as caught:
        load_model(copied, "float32")
    assert ("gelu_typo" in str(caught.value)) == ("hidden_act" in fields)


def test_folder_with_code_is_refused_even_when_it_was_found_before(copied: BaseFiles) -> None:
    change_config(copied, auto_map={"AutoModelForCausalLM": "code.Model"})

    with pytest.raises(ModelError, match="auto_map"):
        load_model(copied, "float32")
    with pytest.raises(ModelError, match="auto_map"):
        load_tokenizer(copied)


def test_tokenizer_is_that_of_the_folder(tiny_base: BaseFiles) -> None:
    tokenizer = load_tokenizer(tiny_base)

    assert len(tokenizer) == 320
    assert tokenizer.decode(tokenizer("the order")["input_ids"]) == "the order"


@pytest.mark.parametrize("content", [None, "{}", "no JSON"])
def test_folder_without_a_sound_tokenizer_is_refused(content: str | None, copied: BaseFiles) -> None:
    tokenizer = copied.folder / "tokenizer.json"
    if content is None:
        tokenizer.unlink()
    else:
        tokenizer.write_text(content)

    with pytest.raises(ModelError, match=r"^org/tiny: "):
        load_tokenizer(copied)


def test_plain_attention_is_one_that_the_model_supports(make_model: Callable[[str], Any]) -> None:
    assert plain_attention(make_model("Llama")) == "sdpa"
    gemma = make_model("Gemma2")
    gemma.set_attn_implementation(plain_attention(gemma))
    assert gemma.config._attn_implementation == plain_attention(gemma)


def test_loading_prints_nothing(tiny_base: BaseFiles, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(tiny_base, "float32")
    load_tokenizer(tiny_base)

    assert capfd.readouterr() == ("", "")


def test_a_tokenizer_that_lacks_a_field_says_which(tiny_model_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model_folder, tmp_path / "base"))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match="cannot load the tokenizer: 'added_tokens' is missing in a file, or unknown"):
        load_tokenizer(BaseFiles("base", folder, ""))
