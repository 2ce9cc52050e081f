"""A penalty on weights for every step away from where they began, against forgetting what they knew."""

from collections.abc import Mapping

import torch
from torch import nn

from luthier.models.sharding import whole


class StartPenalty:
    """`coefficient` / 2 times the squared distance of the optimised weights from the model's as they are now.

    Source: Li et al. 2018, Explicit Inductive Bias for Transfer Learning with Convolutional Networks, equation 2
    (L2-SP). The copy is kept in the types of the model.
    """

    def __init__(
        self, model_weights: Mapping[str, nn.Parameter], optimised: Mapping[str, nn.Parameter], coefficient: float
    ) -> None:
        self._coefficient = coefficient
        self._pairs = [(parameter, model_weights[name].detach().clone()) for name, parameter in optimised.items()]

    @torch.no_grad()
    def add_gradients(self) -> float:
        """Add the penalty's gradient to that of each weight; the penalty."""
        total = 0.0
        for parameter, start in self._pairs:
            away = parameter - start
            total += float(whole(away.square().sum(dtype=torch.float64)))
            away *= self._coefficient
            parameter.grad = away if parameter.grad is None else parameter.grad.add_(away)
        return self._coefficient / 2 * total
