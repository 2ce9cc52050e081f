"""Can a model learn? A few rows must be learnt by heart before hours are spent."""

from collections.abc import Callable, Mapping
from hashlib import blake2b

import torch
from torch import nn

from luthier.models.sharding import whole
from luthier.training.finding import Finding, judged
from luthier.training.first_pass import MeanLoss
from luthier.training.master import MasterWeights

OVERFIT_STEPS = 60
OVERFIT_LEARNING_RATE = 2e-3
OVERFIT_SHARE = 0.25
"""A few rows count as learnt when their loss falls to this share of its first value,"""
OVERFIT_KNOWN = 0.1
"""or to this many nats a token: a model may know them beforehand."""


def check_learns(
    parameters: Mapping[str, nn.Parameter], loss: MeanLoss, on_step: Callable[[int, int], None]
) -> Finding:
    """Train on the same few rows until their mean `loss` has fallen far enough, or the steps run out.

    The parameters that train are changed: give a model made for this check.
    """
    weights = MasterWeights(parameters)
    trained = list(weights.parameters.values())
    optimizer = torch.optim.AdamW(trained, lr=OVERFIT_LEARNING_RATE, weight_decay=0.0)
    limit = value = 0.0
    for step in range(OVERFIT_STEPS):
        current = loss()
        value = current.item()
        limit = limit or max(OVERFIT_SHARE * value, OVERFIT_KNOWN)
        on_step(step, OVERFIT_STEPS)
        if value <= limit:
            break
        current.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        weights.publish()
        optimizer.zero_grad(set_to_none=True)
    on_step(OVERFIT_STEPS, OVERFIT_STEPS)
    advice = "a few rows could not be learnt by heart: raise adapter.r, or check the rows' targets"
    return judged("overfit_rows", "pass" if value <= limit else "fail", value, limit, advice)


def fingerprints(parameters: Mapping[str, nn.Parameter]) -> dict[str, bytes]:
    """A digest of each parameter's values, by name: two are equal where all bits are."""
    return {
        name: blake2b(whole(parameter.detach()).flatten().view(torch.uint8).numpy().data, digest_size=16).digest()
        for name, parameter in parameters.items()
    }
