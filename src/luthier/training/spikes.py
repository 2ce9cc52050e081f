"""Loss spikes: when a step's loss is one, and the way back to weights from before.

After Chowdhery et al. 2022, PaLM, section 5.1, where training went back to a checkpoint from before a spike and passed
over the batches around it.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

WINDOW = 32
"""Losses that a new one is compared with."""
FEWEST = 16
"""Before so many steps no loss is a spike: at the start it falls from where it likes."""
FACTOR, MARGIN = 2.0, 1.0
"""A spike is so many times the largest loss of the window, and by so many nats above it."""
MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def is_spike(losses: Sequence[float], loss: float) -> bool:
    """Whether a step's loss stands out of those of the steps before, which are all finite."""
    recent = losses[-WINDOW:]
    return len(recent) >= FEWEST and loss > max(FACTOR * max(recent), max(recent) + MARGIN)


class LastGood:
    """A copy of weights and optimiser moments to go back to."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], optimizer: torch.optim.AdamW) -> None:
        self._parameters, self._optimizer = parameters, optimizer
        self.keep()

    def keep(self) -> None:
        """Take what there is now."""
        self._weights = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._moments = {
            name: {moment: state[moment].clone() for moment in MOMENTS}
            for name, parameter in self._parameters.items()
            if (state := self._optimizer.state.get(parameter))
        }

    def restore(self) -> None:
        """Put back what was kept."""
        for name, parameter in self._parameters.items():
            parameter.data.copy_(self._weights[name])
            if name in self._moments:
                self._optimizer.state[parameter] = {
                    moment: value.clone() for moment, value in self._moments[name].items()
                }
            else:
                self._optimizer.state.pop(parameter, None)
