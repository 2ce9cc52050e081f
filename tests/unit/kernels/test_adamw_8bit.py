"""A step of AdamW on moments in bytes is the one on float32 moments, but for what a byte rounds."""

import pytest
import torch

from luthier.kernels import native
from luthier.kernels.adamw_8bit import Moment, Step, adamw_8bit, code_values, decode, encode

RATE, BETAS, EPSILON, DECAY = 1e-3, (0.9, 0.99), 1e-8, 0.01


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steps(weights, gradients):
    """The weights after a step on each of the gradients, and both moments."""
    first, root = (Moment.zeros(weights.numel(), weights.device) for _ in range(2))
    found = weights.clone()
    for number, gradient in enumerate(gradients, start=1):
        adamw_8bit(found, gradient, first, root, Step(number, RATE, *BETAS, EPSILON, DECAY))
    return found, first, root


def plain_steps(weights, gradients):
    parameter = torch.nn.Parameter(weights.clone())
    optimizer = torch.optim.AdamW([parameter], lr=RATE, betas=BETAS, eps=EPSILON, weight_decay=DECAY)
    for gradient in gradients:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach(), optimizer.state[parameter]


@pytest.mark.parametrize("bits", [7, 8])
def test_codes_rise_from_zero_to_one_over_as_many_decades_as_bits(bits):
    values = code_values(bits)
    assert (len(values), float(values[0]), float(values[-1])) == (2**bits, 0.0, 1.0)
    assert bool((values.diff() > 0).all())
    assert float(values[1]) == pytest.approx(10.0 ** (1 - bits))
    assert [int(((values > 10.0**-e) & (values <= 10.0 ** (1 - e))).sum()) for e in (1, 2)] == [
        2 ** (bits - 1),
        2 ** (bits - 2),
    ]


@pytest.mark.parametrize("signed", [True, False])
def test_each_number_gets_the_nearest_code(signed):
    numbers = 1e-3 * normal(20, 256) * 10 ** (-4 * torch.rand(20, 256, generator=torch.Generator().manual_seed(1)))
    numbers = numbers if signed else numbers.abs()
    moment = Moment(torch.zeros(20, 256, dtype=torch.uint8), torch.zeros(20, 1))
    encode(numbers, moment, signed)
    found = decode(moment, signed)
    assert torch.equal(moment.scales, numbers.abs().amax(1, keepdim=True))
    values = code_values(7 if signed else 8)
    values = torch.cat([-values.flip(0)[:-1], values]) if signed else values[1:]
    nearest = (numbers[..., None] - values * moment.scales[..., None]).abs().amin(-1)
    assert bool(((found - numbers).abs() <= nearest + 2**-11 * numbers.abs()).all())


def test_zero_stays_zero_and_a_root_is_zero_only_in_a_block_of_zeros():
    numbers = torch.tensor([[0.0, -0.0, 1.0, -1e-12], [0.0, 0.0, 0.0, 0.0]])
    moment = Moment(torch.zeros(2, 4, dtype=torch.uint8), torch.zeros(2, 1))
    encode(numbers, moment, signed=True)
    assert decode(moment, signed=True).tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    encode(numbers.abs(), moment, signed=False)
    assert decode(moment, signed=False).tolist() == [pytest.approx([1e-7, 1e-7, 1, 1e-7]), [0, 0, 0, 0]]


@pytest.mark.usefixtures("form")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("numbers", [1, 7, 256, 300, 300_000])
def test_the_first_step_is_that_of_float32_moments(numbers, dtype):
    """Moments are rounded after the step."""
    weights, gradient = normal(numbers).to(dtype), 1e-3 * normal(numbers, seed=1).to(dtype)
    found, first, root = steps(weights, [gradient])
    expected, state = plain_steps(weights, [gradient])
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)
    for moment, wide, signed in ((first, state["exp_avg"], True), (root, state["exp_avg_sq"].sqrt(), False)):
        narrow = decode(moment, signed).flatten()[:numbers]
        assert float((narrow - wide).norm() / wide.norm()) < 0.02


@pytest.mark.usefixtures("form")
def test_many_steps_stay_close():
    weights = normal(2_000)
    gradients = [1e-3 * (normal(2_000, seed=seed) + 0.5 * weights) * 0.9**seed for seed in range(40)]
    found, *_ = steps(weights, gradients)
    expected, _ = plain_steps(weights, gradients)
    assert float((found - expected).norm() / (expected - weights).norm()) < 0.03


@pytest.mark.usefixtures("form")
def test_a_small_gradient_beside_a_large_one_makes_no_leap():
    """In the second moment itself, 1e-12 of the largest number of its block would have become zero."""
    gradient = torch.full((256,), 1e-6)
    gradient[0] = 1.0
    weights = torch.zeros(256)
    found, *_ = steps(weights, [gradient] * 20)
    assert float(found.abs().max()) < 1.1 * 20 * RATE


def test_both_forms_make_the_same_steps(monkeypatch):
    assert not isinstance(native.library(), native.NativeError)
    weights = normal(10_240)
    gradients = [1e-3 * normal(10_240, seed=seed) for seed in range(1, 6)]
    found, *moments = steps(weights, gradients)
    monkeypatch.setattr(native, "serves", lambda *_: False)
    expected, *expected_moments = steps(weights, gradients)
    assert float((found - expected).norm() / (expected - weights).norm()) < 1e-3
    for one, other in zip(moments, expected_moments, strict=True):
        assert float((one.codes != other.codes).float().mean()) < 0.01  # those between two codes
        torch.testing.assert_close(one.scales, other.scales, rtol=1e-3, atol=0)


@pytest.mark.usefixtures("form")
def test_a_second_moment_that_overflows_moves_nothing():
    found, first, _ = steps(torch.zeros(300), [torch.full((300,), 1e30)])
    assert float(found.abs().max()) == 0.0
    torch.testing.assert_close(decode(first, signed=True).flatten()[:300], torch.full((300,), 1e29))
