"""Weights in fp32 behind a model that computes in a narrower type.

An optimiser's steps are smaller than what bfloat16 can add to a weight. Source: Micikevicius et al. 2018, Mixed
Precision Training, section 3.1.
"""

from collections.abc import Mapping
from functools import partial

import torch
from torch import nn
from torch.distributed.tensor import DTensor


class MasterWeights:
    """The parameters to optimise, by name: the model's own where they are wide, else fp32 copies of them.

    Gradients of copied parameters move to the copy as they come, so that they add up in fp32 over micro-batches.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self._narrow: list[tuple[nn.Parameter, nn.Parameter]] = []
        self.parameters = {name: self._wide(parameter) for name, parameter in parameters.items()}

    def _wide(self, parameter: nn.Parameter) -> nn.Parameter:
        if parameter.dtype not in (torch.bfloat16, torch.float16):
            return parameter
        master = nn.Parameter(parameter.detach().float())
        parameter.register_post_accumulate_grad_hook(partial(_hand_over, master))
        self._narrow.append((parameter, master))
        return master

    @property
    def sharded(self) -> bool:
        """Whether each process has but a part of every parameter."""
        return any(isinstance(parameter, DTensor) for parameter in self.parameters.values())

    @torch.no_grad()
    def publish(self) -> None:
        """Put what has been optimised into the model."""
        for parameter, master in self._narrow:
            parameter.copy_(master)


def _hand_over(master: nn.Parameter, parameter: torch.Tensor) -> None:
    assert parameter.grad is not None
    gradient = parameter.grad.to(master.dtype)
    master.grad = gradient if master.grad is None else master.grad.add_(gradient)
    parameter.grad = None
