"""Products with weights in bytes are those with the weights that the bytes stand for."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native
from luthier.kernels.int8 import MOST_ROWS_IN_BFLOAT16, Int8LayerEnd, Int8Weight, int8_linear, quantize

SHAPES = [(1, 1, 1), (1, 15, 3), (2, 17, 5), (3, 33, 17), (4, 64, 16), (5, 100, 33), (13, 576, 7), (2, 40_000, 3)]
DTYPES = [torch.float32, torch.bfloat16]


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


def exact_product(x: torch.Tensor, weight: Int8Weight) -> torch.Tensor:
    """What the native kernel computes, in whole numbers: float64 holds their sums exactly."""
    wide = x.to(native.wide(x.dtype))
    most = wide.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    numbers = (wide * (torch.full_like(most, 8191) / most)).round()
    sums = (numbers.double() @ weight.numbers.double().t()).to(wide.dtype)
    return sums * ((most / 8191) * weight.scale.to(wide.dtype))


def activations(rows: int, size: int, dtype: torch.dtype) -> torch.Tensor:
    """One row is zero, one has a number that dwarfs the others."""
    x = torch.randn(rows, size, generator=torch.Generator().manual_seed(rows))
    x[1:2] = 0
    x[2:3, size // 2] = 1e4
    return x.to(dtype)


def random_weight(outputs: int, size: int) -> Int8Weight:
    return Int8Weight.of(torch.randn(outputs, size, generator=torch.Generator().manual_seed(size)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "size", "outputs"), SHAPES)
def test_a_product_is_exact_in_whole_numbers(rows: int, size: int, outputs: int, dtype: torch.dtype) -> None:
    x, weight = activations(rows, size, dtype), random_weight(outputs, size)
    assert native.serves(x)

    found = weight.product(x, None)

    assert torch.equal(found, exact_product(x, weight).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_product_adds_a_bias_and_reads_rows_that_do_not_lie_together(dtype: torch.dtype) -> None:
    x, weight = activations(6, 80, dtype)[:, ::2], random_weight(9, 40)
    bias = torch.linspace(-3, 3, 9).to(dtype)
    wide = native.wide(dtype)

    # One rounding where the compiler multiplies and adds at once, else two.
    expected = exact_product(x, weight) + bias.to(wide)
    tolerance = 8 * torch.finfo(wide).eps * float(expected.abs().max())
    torch.testing.assert_close(weight.product(x, bias), expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=tolerance)


@pytest.mark.parametrize("fault", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_gives_nothing_finite_and_spoils_no_other(fault: float) -> None:
    x, weight = activations(5, 40, torch.float32), random_weight(9, 40)
    expected = weight.product(x, None)
    x[3, 7] = fault

    found = weight.product(x, None)

    assert not found[3].isfinite().any()
    assert torch.equal(found[[0, 1, 2, 4]], expected[[0, 1, 2, 4]])


@pytest.mark.parametrize("reason", ["no kernels", "many rows in bfloat16"])
def test_torchs_own_product_differs_by_the_rounding_of_activations(
    reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, dtype = reason != "no kernels", torch.bfloat16 if reason != "no kernels" else torch.float32
    x, weight = activations(MOST_ROWS_IN_BFLOAT16 + 1 if many else 5, 100, dtype), random_weight(33, 100)
    bias = torch.linspace(-1, 1, 33).to(dtype)
    expected = F.linear(x.double(), weight.dense().double(), bias.double())
    native_error = (weight.product(x[:5], bias).double() - expected[:5]).abs().amax(1)
    if not many:
        monkeypatch.setattr(native, "serves", lambda *_: False)

    found = weight.product(x, bias)

    scale = expected.abs().amax(1)
    assert found.dtype == dtype
    assert ((found.double() - expected).abs().amax(1) <= (3e-2 if many else 1e-6) * scale).all()
    assert (native_error <= (1e-2 if many else 1e-3) * scale[:5]).all()


def test_weights_are_joined_and_taken_apart_as_views() -> None:
    weights = [random_weight(outputs, 40) for outputs in (3, 5)]
    x = activations(4, 40, torch.float32)

    joint = Int8Weight.join(weights)
    parts = [joint.part(slice(0, 3)), joint.part(slice(3, 8))]

    assert torch.equal(joint.product(x, None), torch.cat([weight.product(x, None) for weight in weights], 1))
    for part, weight in zip(parts, weights, strict=True):
        assert part.numbers.untyped_storage().data_ptr() == joint.numbers.untyped_storage().data_ptr()
        assert torch.equal(part.dense(), weight.dense())
    assert joint.nbytes == 8 * 40 + 8 * 4


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 3, 6])
def test_the_end_of_a_layer_is_what_its_parts_compute(rows: int, dtype: torch.dtype) -> None:
    hidden, attended_size, inner = 40, 33, 70
    x, attended = activations(rows, hidden, dtype), activations(rows, attended_size, dtype) / 7
    output, gate_up, down = (
        random_weight(*shape) for shape in ((hidden, attended_size), (2 * inner, hidden), (hidden, inner))
    )
    norm = torch.linspace(0.5, 1.5, hidden).to(dtype)

    found = Int8LayerEnd(output, norm, 1e-5, gate_up, down)(x, attended)

    wide = native.wide(dtype)
    middle = x.to(wide) + output.product(attended.to(wide), None)
    normal = F.rms_norm(middle, (hidden,), norm.to(wide), 1e-5)
    gate, up = gate_up.product(normal, None).chunk(2, -1)
    expected = middle + down.product(F.silu(gate) * up, None)
    # Between the parts nothing is rounded to bfloat16. A number whose last digit differs may round to the next whole.
    assert found.dtype == dtype
    torch.testing.assert_close(
        found, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=2e-3 * float(up.abs().max())
    )
    assert (found - x).abs().max() > 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_normalised_product_is_the_product_of_what_is_normalised(dtype: torch.dtype) -> None:
    x, weight, bias = activations(4, 40, dtype), random_weight(9, 40), torch.linspace(-1, 1, 9).to(dtype)
    norm, wide = torch.linspace(0.5, 1.5, 40).to(dtype), native.wide(dtype)

    found = weight.norm_product(x, norm, 1e-5, bias)

    normal = F.rms_norm(x.to(wide), (40,), norm.to(wide), 1e-5)
    expected = weight.product(normal, bias.to(wide))
    torch.testing.assert_close(found, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-3)
