import pytest
import torch
from torch import nn

from luthier.training.spikes import FEWEST, WINDOW, LastGood, is_spike


@pytest.mark.parametrize(
    ("losses", "loss", "spike"),
    [
        ([2.0] * FEWEST, 4.1, True),
        ([2.0] * FEWEST, 4.0, False),
        ([2.0] * (FEWEST - 1), 40.0, False),
        ([0.1] * FEWEST, 1.0, False),  # a nat above is the least
        ([0.1] * FEWEST, 1.2, True),
        ([3.0, *[1.0] * (FEWEST - 1)], 4.5, False),  # one of the window was as high
        ([3.0, *[1.0] * WINDOW], 4.5, True),
    ],
)
def test_a_spike_stands_out_of_the_steps_before(losses, loss, spike):
    assert is_spike(losses, loss) is spike


def test_what_was_kept_comes_back_and_training_goes_the_same_way():
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.randn(4))
    optimizer = torch.optim.AdamW([parameter], lr=0.1)

    def train(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            (parameter**2).sum().backward()
            optimizer.step()
        return parameter.detach().clone()

    good = LastGood({"weight": parameter}, optimizer)
    start = parameter.detach().clone()
    first = train(3)
    good.restore()
    assert torch.equal(parameter, start)
    assert torch.equal(train(3), first), "moments went back to none"
    good.keep()
    second = train(2)
    for _ in range(2):  # what is put back stays as it was kept
        good.restore()
        assert torch.equal(parameter, first)
        assert torch.equal(train(2), second)
