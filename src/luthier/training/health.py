"""Is a model sound, and can it learn? Measured before hours are spent."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import torch
from torch import nn

from luthier.training.objective import E, Objective

Verdict = Literal["pass", "warn", "fail"]

OVERFIT_ROWS = 8
OVERFIT_STEPS = 60
OVERFIT_LEARNING_RATE = 2e-3
OVERFIT_SHARE = 0.25
"""Eight rows count as learnt when their loss falls to this share of its first value,"""
OVERFIT_KNOWN = 0.1
"""or to this many nats a token: a model may know them beforehand."""
MOST_OF_A_NEW_HEAD = 2.0
"""A head with random weights is expected to begin with at most so many times the loss of guessing."""
MeanLoss = Callable[[], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Guess:
    """The mean loss in nats of guessing among what there is to choose from: the logarithm of their number. `known` says
    whether the model has learnt before to do better."""

    loss: float
    known: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing checked: its value beside its limit, and what to do when it is not well."""

    check: str
    verdict: Verdict
    value: float
    limit: float
    advice: str


def check_health(
    objective: Objective[E],
    parameters: Mapping[str, nn.Parameter],
    rows: Sequence[E],
    guess: Guess,
    on_step: Callable[[int, int], None],
) -> list[Finding]:
    """Findings about first loss, gradients, and whether eight rows can be learnt by heart.

    `rows` are training rows, at least one. The parameters that train are changed: give a model made for this check.
    """
    few = sorted(rows, key=len)[len(rows) // 2 :][:OVERFIT_ROWS]

    def mean_loss() -> torch.Tensor:
        return objective.step(few)(few)

    findings = [_first_loss(mean_loss, guess)]
    if findings[0].verdict == "fail":
        return findings
    findings.append(_gradients(mean_loss, parameters))
    if findings[1].verdict == "fail":
        return findings
    findings.append(_overfit(mean_loss, parameters, on_step))
    return findings


def fingerprints(parameters: Mapping[str, nn.Parameter]) -> dict[str, bytes]:
    """A digest of each parameter's values, by name: two are equal where all bits are."""
    return {
        name: blake2b(parameter.detach().flatten().view(torch.uint8).numpy().data, digest_size=16).digest()
        for name, parameter in parameters.items()
    }


def overall(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst verdict of all; of none, `pass`."""
    found = set(verdicts)
    return "fail" if "fail" in found else "warn" if "warn" in found else "pass"


def _first_loss(loss: MeanLoss, guess: Guess) -> Finding:
    """A pretrained model must do better than guessing; one whose head is new begins there."""
    with torch.no_grad():
        value = float(loss())
    limit = guess.loss * (1 if guess.known else MOST_OF_A_NEW_HEAD)
    if not math.isfinite(value):
        return Finding("first_loss", "fail", value, limit, "the loss is not finite: the weights are damaged")
    if not guess.known:
        sound = value <= limit
        return Finding("first_loss", "pass" if sound else "warn", value, limit, "" if sound else "far above guessing")
    if value >= limit:
        return Finding("first_loss", "fail", value, limit, "no better than guessing: wrong tokenizer or empty weights")
    if value > 0.7 * limit:
        return Finding("first_loss", "warn", value, limit, "high for a pretrained model: is this the right template?")
    return Finding("first_loss", "pass", value, limit, "")


def _gradients(loss: MeanLoss, parameters: Mapping[str, nn.Parameter]) -> Finding:
    """The largest gradient norm among the parameters: neither zero nor beyond all bounds."""
    total = loss()
    reached = total.requires_grad
    gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True) if reached else ()
    largest = max((float(gradient.norm()) for gradient in gradients if gradient is not None), default=0.0)
    if not math.isfinite(largest) or largest > 1e4:
        return Finding("gradient", "fail", largest, 1e4, "gradients explode: lower the learning rate, or use float32")
    if largest < 1e-7:
        return Finding("gradient", "fail", largest, 1e-7, "no gradient reaches the weights that train")
    return Finding("gradient", "pass", largest, 1e4, "")


def _overfit(loss: MeanLoss, parameters: Mapping[str, nn.Parameter], on_step: Callable[[int, int], None]) -> Finding:
    """Train on the same few rows until their loss has fallen far enough, or the steps run out."""
    optimizer = torch.optim.AdamW(parameters.values(), lr=OVERFIT_LEARNING_RATE, weight_decay=0.0)
    limit = value = 0.0
    for step in range(OVERFIT_STEPS):
        current = loss()
        value = current.item()
        limit = limit or max(OVERFIT_SHARE * value, OVERFIT_KNOWN)
        on_step(step, OVERFIT_STEPS)
        if value <= limit:
            break
        current.backward()
        nn.utils.clip_grad_norm_(list(parameters.values()), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    on_step(OVERFIT_STEPS, OVERFIT_STEPS)
    learnt = value <= limit
    advice = "" if learnt else "eight rows could not be learnt by heart: raise adapter.r, or check the rows' targets"
    return Finding("overfit_rows", "pass" if learnt else "fail", value, limit, advice)
