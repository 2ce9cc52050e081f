"""The fused adapted layer is what autograd makes of its formula."""

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels.lora import LoraLayer, lora_linears

IN, OUT, R, SCALING = 7, 5, 3, 1.7


def lora_linear(x: torch.Tensor, *layer: Any) -> torch.Tensor:
    return lora_linears(x, [LoraLayer(*layer)])[0]


def parts(dtype: torch.dtype = torch.float64, adapter_dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"weight": (OUT, IN), "bias": (OUT,), "lora_a": (R, IN), "lora_b": (OUT, R)}
    tensors = {name: torch.randn(*shape, dtype=torch.float64, generator=generator) for name, shape in shapes.items()}
    return {
        name: tensor.to(adapter_dtype).requires_grad_() if name.startswith("lora") else tensor.to(dtype)
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("shape", [(IN,), (4, IN), (2, 3, IN)])
@pytest.mark.parametrize("with_bias", [True, False])
def test_value_and_gradients_equal_autograd(shape: tuple[int, ...], with_bias: bool) -> None:
    p = parts()
    bias = p["bias"] if with_bias else None
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    wanted = (x, p["lora_a"], p["lora_b"])
    expected = F.linear(x, p["weight"], bias) + SCALING * (x @ p["lora_a"].t()) @ p["lora_b"].t()

    found = lora_linear(x, p["weight"], bias, p["lora_a"], p["lora_b"], SCALING)

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(
        torch.autograd.grad(found, wanted, upstream),
        torch.autograd.grad(expected, wanted, upstream),
        rtol=0,
        atol=1e-12,
    )


def test_gradcheck() -> None:
    p = parts()
    x = torch.randn(4, IN, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()

    assert torch.autograd.gradcheck(
        lambda x, a, b: lora_linear(x, p["weight"], p["bias"], a, b, SCALING), (x, p["lora_a"], p["lora_b"])
    )


def test_trains_an_adapter_in_fp32_on_a_bfloat16_layer() -> None:
    p = parts(torch.bfloat16, torch.float32)
    x = torch.randn(6, IN, generator=torch.Generator().manual_seed(1)).bfloat16()

    output = lora_linear(x, p["weight"], None, p["lora_a"], p["lora_b"], SCALING)
    output.sum().backward()

    assert output.dtype == torch.bfloat16
    assert {p["lora_a"].grad.dtype, p["lora_b"].grad.dtype} == {torch.float32}  # type: ignore[union-attr]


def test_input_without_gradient_gets_none_and_the_adapter_still_learns() -> None:
    p = parts()
    x = torch.randn(6, IN, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss() -> torch.Tensor:
        return lora_linear(x, p["weight"], None, p["lora_a"], p["lora_b"], SCALING).square().sum()

    losses = []
    for _ in range(4):
        value = loss()
        gradients = torch.autograd.grad(value, (p["lora_a"], p["lora_b"]))
        losses.append(float(value.detach()))
        with torch.no_grad():
            for parameter, gradient in zip((p["lora_a"], p["lora_b"]), gradients, strict=True):
                parameter -= 1e-4 * gradient

    assert x.grad is None
    assert all(later < earlier for earlier, later in pairwise(losses))


@pytest.mark.parametrize("input_learns", [True, False])
def test_layers_over_one_input_are_each_what_they_are_alone(input_learns: bool) -> None:
    generator = torch.Generator().manual_seed(3)

    def layer(out: int, r: int, scaling: float) -> LoraLayer:
        weight, bias, a, b = (
            torch.randn(shape, dtype=torch.float64, generator=generator)
            for shape in ((out, IN), (out,), (r, IN), (out, r))
        )
        return LoraLayer(weight, bias if r == 2 else None, a.requires_grad_(), b.requires_grad_(), scaling)

    layers = [layer(5, 3, 1.7), layer(2, 2, 0.5), layer(9, 3, 1.0)]
    x = torch.randn(2, 4, IN, dtype=torch.float64, generator=generator).requires_grad_(input_learns)
    layers[1].bias.requires_grad_()  # type: ignore[union-attr]
    learnt = [*([x] if input_learns else []), *(of for layer in layers for of in (layer.lora_a, layer.lora_b))]
    learnt.append(layers[1].bias)
    expected = [
        F.linear(x, one.weight, one.bias) + one.scaling * (x @ one.lora_a.t()) @ one.lora_b.t() for one in layers
    ]
    upstream = [torch.randn(of.shape, dtype=torch.float64, generator=generator) for of in expected]

    found = lora_linears(x, layers)

    torch.testing.assert_close(list(found), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(found, learnt, upstream),
        torch.autograd.grad(expected, learnt, upstream),
        rtol=0,
        atol=1e-11,
    )
