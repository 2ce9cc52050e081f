"""The learning-rate range test: raise the rate step by step, and see from where on the loss falls, and where it breaks.

Source: Smith 2017, Cyclical Learning Rates for Training Neural Networks, section 3.3.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from luthier.training.finding import Finding, Verdict, judged
from luthier.training.first_pass import MeanLoss
from luthier.training.loop import ADAM_BETAS

LOWEST, STEPS_PER_DECADE, DECADES = 1e-6, 5, 6
STEPS = DECADES * STEPS_PER_DECADE + 1
BROKEN = 2.0
"""Times the first loss from which training has broken down."""
MARGIN = 10.0
"""Between the rate with the lowest loss and the one that is suggested: steps on other rows are less forgiving than
those on the same few."""
STILL = 0.98
"""Of the first loss, which must fall below it: rows that are known already tell nothing about learning rates."""


@dataclass(frozen=True, slots=True)
class RangeTest:
    """The loss before each step, by the step's rate in rising order; and the rate at which it broke, if it did."""

    losses: Mapping[float, float]
    broke: float | None

    @property
    def best(self) -> float:
        """The rate after whose step the loss was lowest."""
        rates, losses = list(self.losses), list(self.losses.values())
        lowest = min(range(len(losses)), key=lambda place: losses[place])
        return rates[max(0, lowest - 1)]

    @property
    def highest(self) -> float:
        """The highest rate up to which the loss stayed below the first one."""
        rates, losses = list(self.losses), list(self.losses.values())
        below = [place for place in range(1, len(losses)) if losses[place] < losses[0]]
        return rates[max(below, default=1) - 1]

    @property
    def suggested(self) -> float:
        """A rate for the recipe, to one digit."""
        rate = self.best / MARGIN
        return float(f"{rate:.0e}")

    def finding(self, learning_rate: float) -> Finding:
        """The recipe's rate beside the highest that still helps, or the one that breaks training."""
        verdict: Verdict = "pass" if learning_rate <= self.highest else "warn"
        if self.broke is not None and learning_rate >= self.broke:
            verdict = "fail"
        limit = self.broke if verdict == "fail" and self.broke else self.highest
        advice = f"the loss rises at such a rate: training.learning_rate {self.suggested:g} is a good start"
        return judged("learning_rate", verdict, learning_rate, limit, advice)


def range_test(
    parameters: Mapping[str, nn.Parameter],
    loss: MeanLoss,
    most_seconds: float | None,
    tell: Callable[[float], None],
    on_step: Callable[[int, int], None],
) -> RangeTest | None:
    """Try learning rates from 1e-6 to 1, one step of Adam each, on the same rows; the weights come back as they were.

    The first step is timed, and `tell` is told how many seconds all will take at most. None where that is more than
    `most_seconds`, which None does not limit, and where no rate helps. Steps are made in fp32, as those of a training.
    """
    start = [parameter.detach().clone() for parameter in parameters.values()]
    wide = [nn.Parameter(parameter.detach().float().clone()) for parameter in parameters.values()]
    optimizer = torch.optim.AdamW(wide, betas=ADAM_BETAS, weight_decay=0.0)
    losses: dict[float, float] = {}
    broke = None
    begin = time.monotonic()
    try:
        for step in range(STEPS):
            rate = LOWEST * 10 ** (step / STEPS_PER_DECADE)
            current = loss()
            losses[rate] = current.item()
            if not losses[rate] <= BROKEN * losses[LOWEST]:
                broke = list(losses)[-2] if step else rate
                break
            _step(list(parameters.values()), wide, current, optimizer, rate)
            if step == 0:
                expected = (time.monotonic() - begin) * STEPS
                tell(expected)
                if most_seconds is not None and expected > most_seconds:
                    return None
            on_step(step + 1, STEPS)
    finally:
        with torch.no_grad():
            for parameter, before in zip(parameters.values(), start, strict=True):
                parameter.copy_(before)
    on_step(STEPS, STEPS)
    finite = {rate: value for rate, value in losses.items() if math.isfinite(value)}
    helped = finite and min(finite.values()) < STILL * losses[LOWEST]
    return RangeTest(finite, broke) if helped else None


def _step(
    narrow: list[nn.Parameter],
    wide: list[nn.Parameter],
    loss: torch.Tensor,
    optimizer: torch.optim.Optimizer,
    rate: float,
) -> None:
    gradients = torch.autograd.grad(loss, narrow, materialize_grads=True, allow_unused=True)
    for parameter, gradient in zip(wide, gradients, strict=True):
        parameter.grad = gradient.to(parameter.dtype, copy=True)
    nn.utils.clip_grad_norm_(wide, 1.0)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    with torch.no_grad():
        for parameter, optimised in zip(narrow, wide, strict=True):
            parameter.copy_(optimised)
