"""The gated activation equals its formula, in value and gradient."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels.gated import silu_gated

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 2**-6}


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("dtype", list(TOLERANCES), ids=str)
@pytest.mark.parametrize("shape", [(1,), (3, 17), (2, 5, 1000)], ids=str)
def test_equals_the_plain_formula(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    gate, up, upstream = (3 * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(3))
    states = [gate.to(dtype).requires_grad_(), up.to(dtype).requires_grad_()]
    wide = [of.detach().double().requires_grad_() for of in states]
    expected = F.silu(wide[0]) * wide[1]
    expected_gradients = torch.autograd.grad(expected, wide, upstream.to(dtype).double())

    found = silu_gated(*states)
    gradients = torch.autograd.grad(found, states, upstream.to(dtype))

    tolerance = TOLERANCES[dtype]
    for one, other in zip((found, *gradients), (expected, *expected_gradients), strict=True):
        assert one.dtype == dtype
        torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("form")
def test_extremes_are_finite_and_what_is_no_number_stays_none() -> None:
    gate = torch.tensor([-1e4, -90.0, 0.0, 90.0, 1e4, float("nan")])
    found = silu_gated(gate, torch.ones(6))

    torch.testing.assert_close(found[:5], torch.tensor([0.0, 0.0, 0.0, 90.0, 1e4]))
    assert torch.isnan(found[5])


@pytest.mark.usefixtures("form")
def test_takes_views() -> None:
    both = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    gate, up = both.chunk(2, -1)

    torch.testing.assert_close(silu_gated(gate, up), F.silu(gate) * up)
