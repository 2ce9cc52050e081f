"""QLoRA: an adapter trains on a base model in NF4 as with transformers, PEFT and bitsandbytes alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.batch import FlatBatch
from luthier.models.losses import RowsLoss
from luthier.models.methods import load_trained, prepare, refuse_lossy, save_trained
from luthier.models.quantized import quantize_linears, weight_count
from luthier.models.recompute import recompute_layers
from luthier.planning import ForwardPass, ModelShape, Way, trained_by
from luthier.planning.memory import estimate_memory

bitsandbytes = pytest.importorskip("bitsandbytes", reason="needs the extra nf4")

MakeModel = Callable[[str], Any]
Rows = Callable[..., list[TokenRow]]
IDS = torch.arange(40)[None] * 7


@pytest.fixture
def saved(tmp_path: Path, make_model: MakeModel) -> Callable[[str], Path]:
    """`saved("Qwen2")`: the folder of a tiny model."""

    def save(architecture: str) -> Path:
        make_model(architecture).save_pretrained(tmp_path / architecture)
        return tmp_path / architecture

    return save


def in_nf4(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    """As QLoRA loads a base model, by transformers."""
    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, quantization_config=config)


def whole(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval().requires_grad_(False)


def quantized(folder: Path, dtype: torch.dtype = torch.float32) -> Any:
    model = whole(folder, dtype)
    quantize_linears(model, quantization="nf4")
    return model


def adapted(model: Any) -> Any:
    """With an adapter whose matrices are all random: where B is zero, as in a new one, A gets no gradient."""
    model = prepare(model, AdapterSection(), 0)
    generator = torch.Generator().manual_seed(0)
    for parameter in trainable(model).values():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.02)
    return model


def adapted_by_peft(model: Any, like: Any) -> Any:
    model = peft.get_peft_model(
        model, peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            parameter.copy_(trainable(like)[name])
    return model


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        output: torch.Tensor = model(input_ids=IDS).logits
    return output


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen2"])
def test_the_layers_and_their_bits_are_those_of_transformers(
    architecture: str, dtype: torch.dtype, saved: Callable[[str], Path]
) -> None:
    folder = saved(architecture)
    ours, theirs = quantized(folder, dtype), in_nf4(folder, dtype)

    layers = {name: module for name, module in theirs.named_modules() if isinstance(module, bitsandbytes.nn.Linear4bit)}

    assert len(layers) == 14
    for name, module in ours.named_modules():
        assert isinstance(module, bitsandbytes.nn.Linear4bit) == (name in layers), name
    for name, layer in layers.items():
        assert torch.equal(ours.get_submodule(name).weight, layer.weight)
        assert ours.get_submodule(name).compute_dtype == layer.compute_dtype == dtype
    assert torch.equal(logits(ours), logits(theirs))
    assert weight_count(ours) == weight_count(whole(folder)) > sum(one.numel() for one in ours.parameters())


def test_loss_and_gradients_are_those_of_transformers_and_peft(saved: Callable[[str], Path]) -> None:
    folder = saved("Llama")
    ours = adapted(quantized(folder))
    theirs = adapted_by_peft(in_nf4(folder), like=ours)
    assert type(theirs.base_model.model.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"
    losses, inputs = [], []
    for model in (ours, theirs):
        embedded = model.get_input_embeddings()(IDS).detach().requires_grad_()
        loss = model(inputs_embeds=embedded, labels=IDS).loss
        loss.backward()
        losses.append(loss.item())
        inputs.append(embedded.grad)

    assert losses[0] == losses[1]
    assert inputs[0].norm() > 0
    assert torch.equal(*inputs)
    for name, parameter in trainable(theirs).items():
        assert torch.equal(trainable(ours)[name].grad, parameter.grad), name


def test_training_goes_as_with_transformers_and_peft(saved: Callable[[str], Path], random_rows: Rows) -> None:
    folder, rows = saved("Llama"), random_rows((7, 30, 12))
    ours = adapted(quantized(folder))
    theirs = adapted_by_peft(in_nf4(folder), like=ours)
    loss, batch = RowsLoss(ours), FlatBatch.of(rows)
    assert loss.fast_path == "on"

    def loss_of_rows_alone() -> torch.Tensor:
        total = torch.zeros(())
        for row in rows:
            ids = torch.tensor([row.input_ids])
            labels = torch.where(torch.tensor([row.targets]), ids, -100)
            total = total + theirs(input_ids=ids, labels=labels).loss * row.target_tokens
        return total

    curves = []
    for model, total in ((ours, lambda: loss.loss_sum(batch)), (theirs, loss_of_rows_alone)):
        optimizer, curve = torch.optim.AdamW(trainable(model).values(), lr=5e-3), []
        for _ in range(6):
            value = total()
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
            curve.append(value.item())
        curves.append(curve)

    assert curves[0] == pytest.approx(curves[1], rel=1e-4)
    assert curves[0][-1] < 0.98 * curves[0][0]


def test_layers_that_are_computed_again_have_the_same_gradients(
    saved: Callable[[str], Path], random_rows: Rows
) -> None:
    model, batch = adapted(quantized(saved("Llama"))), FlatBatch.of(random_rows((20, 9)))
    loss = RowsLoss(model)
    gradients = []
    for _ in range(2):
        loss.loss_sum(batch).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in trainable(model).values()]))
        model.zero_grad()
        recompute_layers(model)

    assert torch.allclose(gradients[0], gradients[1], rtol=1e-5, atol=1e-7)


def test_a_validation_leaves_the_weights_packed_for_gradients(
    saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With AVX-512 BF16, bitsandbytes would rearrange weights in a pass without gradients, and none flow afterwards."""
    folder = saved("Llama")
    expected = logits(quantized(folder))
    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: True)
    model = quantized(folder)

    assert bitsandbytes.nn.Linear4bit(64, 64).support_avx512bf16_for_cpu
    assert torch.equal(logits(model), expected)
    embedded = model.get_input_embeddings()(IDS).detach().requires_grad_()
    model(inputs_embeds=embedded).logits.sum().backward()
    assert embedded.grad is not None


def test_peft_loads_the_adapter_on_either_base(
    saved: Callable[[str], Path], tiny_tokenizer: Any, tmp_path: Path
) -> None:
    folder = saved("Llama")
    model = adapted(quantized(folder))
    save_trained(model, tmp_path, "tiny", tiny_tokenizer)
    refuse_lossy(model, tmp_path)
    file = str(tmp_path / "adapter")

    on_four_bits = peft.PeftModel.from_pretrained(in_nf4(folder), file)
    on_weights = peft.PeftModel.from_pretrained(whole(folder), file)

    assert torch.equal(logits(on_four_bits), logits(model))
    served = load_trained(tmp_path, lambda: whole(folder), "float32")
    assert torch.equal(logits(on_weights), logits(served))
    assert not torch.allclose(logits(served), logits(model), rtol=1e-3)


@pytest.mark.parametrize(("name", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_weights_take_the_memory_that_the_plan_says(name: Any, dtype: torch.dtype) -> None:
    config = LlamaConfig(
        vocab_size=320, hidden_size=512, intermediate_size=1024, num_hidden_layers=2, num_attention_heads=8
    )
    shape, adapter = ModelShape.of(config.to_dict()), AdapterSection()
    for quantization in ("nf4", None):
        model: Any = LlamaForCausalLM(config).to(dtype)
        if quantization:
            quantize_linears(model, quantization=quantization)
        way, forward = Way(name, quantization), ForwardPass(64, 32, 32)
        said = estimate_memory(shape, trained_by(shape, adapter), way, forward, adapter.r, runtime=0).weights

        assert _bytes(prepare(model, adapter, 0)) == pytest.approx(said, rel=0.005)


def _bytes(model: Any) -> int:
    """Of all that a model keeps, each storage once; tables that bitsandbytes has for each layer are 1 kB at most."""
    tensors = list(model.parameters())
    for parameter in model.parameters():
        if state := getattr(parameter, "quant_state", None):
            tensors += [state.absmax, state.code, state.offset, state.state2.absmax, state.state2.code]
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}.values())
