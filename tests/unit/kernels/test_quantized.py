"""Products with weights in few bits are those with the weights that they stand for, and exact in whole numbers."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.kernels import native
from luthier.kernels.quantized import MOST_ROWS_IN_BFLOAT16, Bits, QuantizedLayerEnd, QuantizedWeight

SHAPES = [(1, 1, 1), (1, 15, 3), (2, 17, 5), (3, 33, 17), (4, 64, 16), (5, 100, 33), (13, 576, 7), (2, 40_000, 3)]
DTYPES = [torch.float32, torch.bfloat16]
BITS: list[Bits] = [4, 8]


def whole_numbers(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Activations as the native kernels take them, 8191sts of the greatest of each row, and what one of them is."""
    wide = x.to(native.wide(x.dtype))
    most = wide.abs().amax(-1, keepdim=True).clamp(min=1e-30)
    return (wide * (torch.full_like(most, 8191) / most)).round().double(), most / 8191


def rounded(x: torch.Tensor) -> torch.Tensor:
    """What they stand for."""
    numbers, one = whole_numbers(x)
    return numbers * one.double()


def activations(rows: int, size: int, dtype: torch.dtype) -> torch.Tensor:
    """One row is zero, one has a number that dwarfs the others."""
    x = torch.randn(rows, size, generator=torch.Generator().manual_seed(rows))
    x[1:2] = 0
    x[2:3, size // 2] = 1e4
    return x.to(dtype)


def random_weight(outputs: int, size: int, bits: Bits = 8) -> QuantizedWeight:
    return QuantizedWeight.of(torch.randn(outputs, size, generator=torch.Generator().manual_seed(size)), bits)


def test_int4_is_off_by_half_a_step_at_most() -> None:
    weight = torch.randn(5, 75, generator=torch.Generator().manual_seed(0))
    weight[1] = 0
    weight[2, :32] = 3.0
    weight[3] += 100

    found = QuantizedWeight.of(weight, 4)

    for group in range(3):
        columns = slice(32 * group, 32 * (group + 1))
        own = weight[:, columns]
        step = (own.amax(1) - own.amin(1)) / 15
        # The least and the step are kept in bfloat16, eight bits of each.
        limit = 0.51 * step + 2**-8 * (own.amin(1).abs() + 15 * step)
        assert ((found.dense()[:, columns] - own).abs().amax(1) <= limit + 1e-12).all()
    assert found.dense().shape == weight.shape
    assert found.nbytes == 5 * 4 * (16 + 4)  # of four groups, the last one empty
    assert not found.dense()[1].any()


def test_weights_that_came_in_16_levels_a_group_lose_little() -> None:
    levels = torch.arange(16).repeat(2).flip(0)[None] * 0.125 - 1

    torch.testing.assert_close(QuantizedWeight.of(levels, 4).dense(), levels, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "size", "outputs"), SHAPES)
def test_a_product_of_bytes_is_exact_in_whole_numbers(rows: int, size: int, outputs: int, dtype: torch.dtype) -> None:
    x, weight = activations(rows, size, dtype), random_weight(outputs, size)
    assert weight.serves(x)

    found = weight.product(x, None)

    numbers, one = whole_numbers(x)
    sums = (numbers @ weight.numbers.double().t()).float()  # float64 holds them exactly
    assert torch.equal(found, (sums * (one * weight.scale)).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "size", "outputs"), SHAPES)
def test_a_product_of_four_bits_is_exact_in_each_group(rows: int, size: int, outputs: int, dtype: torch.dtype) -> None:
    x, weight = activations(rows, size, dtype), random_weight(outputs, size, 4)

    found = weight.product(x, None)

    expected, most = rounded(x) @ weight.dense().double().t(), rounded(x).abs().sum(1, keepdim=True)
    # Groups are added in float32, the least of each apart from the steps above it.
    tolerance = 2**-20 * most * weight.dense().abs().max() + torch.finfo(dtype).eps * expected.abs()
    assert ((found.double() - expected).abs() <= tolerance).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", BITS)
def test_the_product_adds_a_bias_and_reads_rows_that_do_not_lie_together(bits: Bits, dtype: torch.dtype) -> None:
    x, weight = activations(6, 80, dtype)[:, ::2], random_weight(9, 40, bits)
    bias = torch.linspace(-3, 3, 9).to(dtype)

    expected = F.linear(rounded(x), weight.dense().double(), bias.double())
    tolerance = 2**-20 * float(expected.abs().max())
    torch.testing.assert_close(weight.product(x, bias), expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=tolerance)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("fault", [float("nan"), float("inf"), -float("inf")])
def test_a_row_that_is_not_finite_gives_nothing_finite_and_spoils_no_other(fault: float, bits: Bits) -> None:
    x, weight = activations(5, 40, torch.float32), random_weight(9, 40, bits)
    expected = weight.product(x, None)
    x[3, 7] = fault

    found = weight.product(x, None)

    assert not found[3].isfinite().any()
    assert torch.equal(found[[0, 1, 2, 4]], expected[[0, 1, 2, 4]])


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("reason", ["no kernels", "many rows in bfloat16"])
def test_torchs_own_product_differs_by_the_rounding_of_activations(
    reason: str, bits: Bits, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, dtype = reason != "no kernels", torch.bfloat16 if reason != "no kernels" else torch.float32
    x, weight = activations(MOST_ROWS_IN_BFLOAT16 + 1 if many else 5, 100, dtype), random_weight(33, 100, bits)
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


@pytest.mark.parametrize("bits", BITS)
def test_weights_are_joined_and_taken_apart_as_views(bits: Bits) -> None:
    weights = [random_weight(outputs, 40, bits) for outputs in (3, 5)]
    x = activations(4, 40, torch.float32)

    joint = QuantizedWeight.join(weights)
    parts = [joint.part(slice(0, 3)), joint.part(slice(3, 8))]

    assert torch.equal(joint.product(x, None), torch.cat([weight.product(x, None) for weight in weights], 1))
    for part, weight in zip(parts, weights, strict=True):
        assert part.numbers.untyped_storage().data_ptr() == joint.numbers.untyped_storage().data_ptr()
        assert torch.equal(part.dense(), weight.dense())
    assert joint.nbytes == sum(weight.nbytes for weight in weights)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("rows", [1, 3, 6])
def test_the_end_of_a_layer_is_what_its_parts_compute(rows: int, bits: Bits, dtype: torch.dtype) -> None:
    hidden, attended_size, inner = 40, 33, 70
    x, attended = activations(rows, hidden, dtype), activations(rows, attended_size, dtype) / 7
    output, gate_up, down = (
        random_weight(*shape, bits) for shape in ((hidden, attended_size), (2 * inner, hidden), (hidden, inner))
    )
    norm = torch.linspace(0.5, 1.5, hidden).to(dtype)

    found = QuantizedLayerEnd(output, norm, 1e-5, gate_up, down)(x, attended)

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
@pytest.mark.parametrize("bits", BITS)
def test_a_normalised_product_is_the_product_of_what_is_normalised(bits: Bits, dtype: torch.dtype) -> None:
    x, weight, bias = activations(4, 40, dtype), random_weight(9, 40, bits), torch.linspace(-1, 1, 9).to(dtype)
    norm, wide = torch.linspace(0.5, 1.5, 40).to(dtype), native.wide(dtype)

    found = weight.norm_product(x, norm, 1e-5, bias)

    normal = F.rms_norm(x.to(wide), (40,), norm.to(wide), 1e-5)
    expected = weight.product(normal, bias.to(wide))
    torch.testing.assert_close(found, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=1e-3)
