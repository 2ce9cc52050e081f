"""Joint projections: where the weights lie, and that they come back."""

import pytest
import torch

from luthier.kernels.stacked_lora import AdapterPlan
from luthier.models.cached_path import join_projections, separate_projections, use_cached_attention, weight_of
from luthier.models.loading import plain_attention
from luthier.models.quantized import quantize_for_inference

ARGUMENTS = dict.fromkeys(range(2), (8**-0.5, None, None))
IDS = torch.arange(20)[None]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen2", "Gemma"])
@torch.inference_mode()
def test_projections_are_joined_and_separated_without_a_trace(architecture, dtype, make_model):
    model, original = make_model(architecture).to(dtype), make_model(architecture).to(dtype)
    expected = original(input_ids=IDS, use_cache=False).logits
    use_cached_attention(model)
    linears = join_projections(model, ARGUMENTS, AdapterPlan())
    assert sum(len(linear.parts) for linear in linears) == 2 * 7
    for linear in linears:
        x = torch.randn(5, linear.in_features, dtype=dtype)
        found = linear(x)
        for name, columns in linear.parts.items():
            torch.testing.assert_close(weight_of(model.get_submodule(name)), original.get_submodule(name).weight)
            torch.testing.assert_close(found[:, columns], original.get_submodule(name)(x), atol=1e-2, rtol=2e-2)
    separate_projections(model)
    model.set_attn_implementation(plain_attention(model))
    assert torch.equal(model(input_ids=IDS, use_cache=False).logits, expected)


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="nothing is packed where bfloat16 is not multiplied"
)
@torch.inference_mode()
def test_weights_in_bfloat16_are_held_once(make_model):
    model = make_model("Llama").bfloat16()
    join_projections(model, ARGUMENTS, AdapterPlan())
    attention = model.model.layers[0].self_attn
    assert attention.q_proj.weight.numel() == attention.o_proj.weight.numel() == 0
    assert weight_of(attention.q_proj).shape == (32, 32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@torch.inference_mode()
def test_quantised_weights_are_joined_and_held_once(dtype, make_model):
    model, original = make_model("Qwen2").to(dtype), make_model("Qwen2").to(dtype)
    for each in (model, original):
        quantize_for_inference(each, "int8")
    linears = join_projections(model, ARGUMENTS, AdapterPlan())
    assert sum(len(linear.parts) for linear in linears) == 2 * 7
    for linear in linears:
        x = torch.randn(5, linear.in_features, dtype=dtype)
        found = linear(x)
        for name, columns in linear.parts.items():
            module, plain = model.get_submodule(name), original.get_submodule(name)
            assert torch.equal(found[:, columns], plain(x))
            assert torch.equal(weight_of(module), plain.quantized.dense())
    attention = model.model.layers[0].self_attn
    storages = {part.quantized.numbers.untyped_storage().data_ptr() for part in (attention.q_proj, attention.v_proj)}
    assert len(storages) == 1
