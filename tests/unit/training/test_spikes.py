import pytest

from luthier.training.spikes import FEWEST, WINDOW, is_spike


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
