"""The fused normalisation equals the plain formula, in value and gradient."""

import pytest
import torch

from luthier.kernels.norm import rms_norm

EPSILON = 1e-5


def plain(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * weight


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("shape", [(1, 8), (7, 33), (2, 5, 16)])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e3])
def test_equals_the_plain_formula(shape: tuple[int, ...], size: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = (size * torch.randn(shape, generator=generator, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(shape[-1], generator=generator, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(shape, generator=generator, dtype=torch.float64)
    found, expected = rms_norm(x, weight, EPSILON), plain(x, weight)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    of_x, of_weight = zip(*(torch.autograd.grad(y, [x, weight], upstream) for y in (found, expected)), strict=True)
    torch.testing.assert_close(*of_x, rtol=1e-9, atol=1e-9 / size)
    torch.testing.assert_close(*of_weight, rtol=1e-9, atol=1e-9)


@pytest.mark.usefixtures("form")
def test_bf16_stays_within_its_rounding() -> None:
    x = torch.randn(64, 48, generator=torch.Generator().manual_seed(1))
    weight = torch.ones(48)
    found = rms_norm(x.bfloat16(), weight.bfloat16(), EPSILON)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), plain(x.bfloat16().float(), weight), rtol=2**-7, atol=0)


@pytest.mark.usefixtures("form")
def test_zeros_have_a_finite_gradient() -> None:
    x = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    rms_norm(x, torch.ones(4, dtype=torch.float64), EPSILON).sum().backward()
    assert torch.equal(x.grad, torch.full((3, 4), EPSILON**-0.5, dtype=torch.float64))
