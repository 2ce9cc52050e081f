"""Products with weights in bytes are those with the weights that the bytes stand for."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels.int8 import int8_linear, quantize


def example(dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 7, 33, generator=generator, dtype=torch.float64)
    weight, bias = torch.randn(9, 33, generator=generator), torch.randn(9, generator=generator, dtype=torch.float64)
    return x.to(dtype).requires_grad_(), weight, bias.to(dtype)


def test_weights_are_off_by_half_a_scale_at_most() -> None:
    _, weight, _ = example()
    weight[3] = 0

    quantized, scale = quantize(weight)

    assert quantized.dtype == torch.int8
    assert ((quantized * scale[:, None] - weight).abs() <= 0.5001 * scale[:, None]).all()
    assert not quantized[3].any()
    assert (quantized.abs().amax(dim=1) == 127)[[0, 1, 2, 4]].all()


@pytest.mark.parametrize("with_bias", [True, False])
def test_value_and_gradient_are_those_of_the_widened_weights(with_bias: bool) -> None:
    x, weight, bias = example()
    quantized, scale = quantize(weight)
    own_bias = bias if with_bias else None
    expected = F.linear(x, quantized.double() * scale.double()[:, None], own_bias)

    found = int8_linear(x, quantized, scale, own_bias)

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    upstream = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = [torch.autograd.grad(y, x, upstream)[0] for y in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_only_bytes_are_kept_for_the_backward_pass() -> None:
    x, weight, _ = example(torch.bfloat16)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.dtype) or t, lambda t: t):
        int8_linear(x, *quantize(weight), None)
    assert kept == [torch.int8, torch.float32]
