"""A base model in bytes says almost the same, and adapters train on it."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from luthier.core.errors import ModelError, WeightsError
from luthier.core.recipe import AdapterSection, Quantization
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.batch import FlatBatch
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare, refuse_lossy, save_trained
from luthier.models.quantized import (
    Int8Linear,
    QuantizedLinear,
    quantize_for_inference,
    quantize_linears,
    require_quantizer,
    round_weights,
    weight_bytes,
)

MakeModel = Callable[[str], Any]


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = model(input_ids=torch.arange(40)[None] * 7).logits
    return output


@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Gemma", "Phi"])
def test_a_model_in_bytes_says_almost_the_same(architecture: str, make_model: MakeModel) -> None:
    model = make_model(architecture)
    expected = logits(model)

    count = quantize_linears(model)

    assert count == sum(isinstance(module, Int8Linear) for module in model.modules()) > 10
    assert not isinstance(model.get_output_embeddings(), Int8Linear)
    error = (logits(model) - expected).norm() / expected.norm()
    assert 0 < error < 0.01
    assert trainable(model) == {}


@pytest.mark.parametrize("method", ["lora", "ia3"])
def test_an_adapter_trains_on_bytes_and_is_saved(
    method: Any,
    make_model: MakeModel,
    random_rows: Callable[..., list[TokenRow]],
    tiny_tokenizer: Any,
    tmp_path: Any,
) -> None:
    model, rows = make_model("Llama"), random_rows((7, 30, 12))
    quantize_linears(model)
    model = prepare(model, AdapterSection(method=method), 0)
    loss, batch = RowsLoss(model), FlatBatch.of(rows)
    assert loss.fast_path == "on"
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=1e-2)
    values = []
    for _ in range(10):
        total = loss.loss_sum(batch)
        total.backward()
        optimizer.step()
        optimizer.zero_grad()
        values.append(total.item())
    assert values[-1] < values[0]
    save_trained(model, tmp_path, "tiny", tiny_tokenizer)
    refuse_lossy(model, tmp_path)


def test_modules_can_be_kept(make_model: MakeModel) -> None:
    model = make_model("Llama")
    name = "model.layers.0.mlp.down_proj"
    whole = quantize_linears(make_model("Llama"))

    assert quantize_linears(model, keep=[name]) == whole - 1
    assert not isinstance(model.get_submodule(name), Int8Linear)


def test_a_model_with_other_layers_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match=r"^model\.quantization: the model has no linear layers of the common kind"):
        quantize_linears(make_model("GPT2"))


def test_what_nf4_needs_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    require_quantizer(None)
    require_quantizer("int8")
    with pytest.raises(ModelError) as caught:
        require_quantizer("nf4")
    assert str(caught.value) == (
        "model.quantization: nf4 needs bitsandbytes, which is not installed "
        "(pip install 'luthier[nf4]', or int8, which needs nothing else)"
    )


@pytest.mark.parametrize(("quantization", "share", "most"), [("int8", 0.3, 0.02), ("int4", 0.33, 0.2)])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Gemma", "Phi", "GPT2", "OPT"])
def test_a_model_quantised_for_inference_computes_with_the_rounded_weights(
    architecture: str, quantization: Quantization, share: float, most: float, make_model: MakeModel
) -> None:
    model, rounded = make_model(architecture), round_weights(make_model(architecture), quantization)
    own, full = logits(model), weight_bytes(model)

    restore = quantize_for_inference(model, quantization)

    assert isinstance(model.get_output_embeddings(), QuantizedLinear)
    assert sum(isinstance(module, QuantizedLinear) for module in model.modules()) > 8
    assert weight_bytes(model) < share * full  # tiny layers fill few of int4's groups of 64
    found = logits(model)
    # Activations are rounded to a 16,382nd of their row's greatest, and rounding adds up over two layers.
    assert (found - logits(rounded)).norm() < 1e-3 * own.norm()
    assert 1e-3 * own.norm() < (found - own).norm() < most * own.norm()
    restore()
    assert torch.equal(logits(model), own)


def test_the_head_keeps_eight_bits(make_model: MakeModel) -> None:
    model = make_model("Llama")
    quantize_for_inference(model, "int4")
    bits = {
        name: module.quantized.bits for name, module in model.named_modules() if isinstance(module, QuantizedLinear)
    }
    assert bits.pop("lm_head") == 8
    assert set(bits.values()) == {4}


def test_embeddings_that_share_the_heads_weights_stay(make_model: MakeModel) -> None:
    for change in (lambda model: quantize_for_inference(model, "int8"), lambda model: round_weights(model, "int8")):
        model = make_model("Gemma")
        embeddings = model.get_input_embeddings().weight
        assert embeddings is model.get_output_embeddings().weight
        before = embeddings.clone()
        change(model)
        assert torch.equal(model.get_input_embeddings().weight, before)


def test_weights_that_are_not_finite_are_not_quantised(make_model: MakeModel) -> None:
    model = make_model("Llama")
    model.model.layers[1].mlp.up_proj.weight.data[3, 4] = float("nan")

    with pytest.raises(WeightsError, match=r"model\.layers\.1\.mlp\.up_proj hold infinite or undefined values"):
        quantize_for_inference(model, "int8")

    assert type(model.model.layers[0].mlp.up_proj) is torch.nn.Linear
