"""What one forward and backward pass tells of a model: its first loss, activations and gradients, layer by layer."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from luthier.models.recompute import layers_of
from luthier.training.finding import Finding, Verdict, judged
from luthier.training.gradients import norms_by_layer
from luthier.training.objective import E

PASS_ROWS, PASS_TOKENS = 8, 1024
"""Rows of a pass at most, and tokens of all but the first: what costs about a second with 135M weights on two cores."""
MOST_OF_A_NEW_HEAD = 2.0
"""A head with random weights is expected to begin with at most so many times the loss of guessing."""
HIGH_FOR_LEARNT = 0.7
"""Share of the loss of guessing from which what a model has learnt before seems to be of little use."""
MOST_GROWTH = 1e3
"""Of the activations' spread from one layer to the next. A few large features multiply it by tens in sound models."""
MOST_GRADIENT, LEAST_GRADIENT = 1e4, 1e-7
MOST_GRADIENT_RATIO = 1e3
"""Of the first layer's gradient norm to the last one's, either way: beyond it layers learn at different speeds by as
much (Glorot and Bengio 2010, section 3, on what keeps them alike)."""
MeanLoss = Callable[[], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Guess:
    """The mean loss in nats of guessing among what there is to choose from: the logarithm of their number. `known` says
    whether the model has learnt before to do better."""

    loss: float
    known: bool


def few_rows(rows: Sequence[E], most_tokens: int = PASS_TOKENS) -> list[E]:
    """Rows of the middle length and longer ones, as many as a pass takes; one at least."""
    few: list[E] = []
    for row in sorted(rows, key=len)[len(rows) // 2 :][:PASS_ROWS]:
        if few and sum(map(len, few)) + len(row) > most_tokens:
            break
        few.append(row)
    return few


def check_first_pass(
    model: nn.Module, parameters: Mapping[str, nn.Parameter], loss: MeanLoss, guess: Guess
) -> list[Finding]:
    """Findings about the first loss, and how activations and gradients change from layer to layer. No weight changes.

    Where the loss is out of bounds already, gradients say nothing more and are left out.
    """
    spreads: list[float] = []

    def note(_module: nn.Module, _inputs: object, output: object) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        if isinstance(hidden, torch.Tensor):
            spreads.append(float(hidden.detach().float().std()))

    hooks = [layer.register_forward_hook(note) for layer in layers_of(model)]
    try:
        total = loss()
    finally:
        for hook in hooks:
            hook.remove()
    first = _first_loss(float(total.detach()), guess)
    findings = [first, *([_growth(spreads)] if len(spreads) > 1 else [])]
    if first.verdict == "fail":
        return findings
    trained = list(parameters.values())
    gradients = (
        torch.autograd.grad(total, trained, materialize_grads=True, allow_unused=True)
        if total.requires_grad
        else [torch.zeros(1)] * len(trained)
    )
    findings.append(_gradient(gradients))
    norms = _layer_norms(dict(zip(parameters, gradients, strict=True)))
    return [*findings, *([_ratio(norms)] if len(norms) > 1 else [])]


def _first_loss(value: float, guess: Guess) -> Finding:
    """A pretrained model must do better than guessing; one whose head is new begins there."""
    limit = guess.loss * (1 if guess.known else MOST_OF_A_NEW_HEAD)
    if not math.isfinite(value):
        return Finding("first_loss", "fail", value, limit, "the loss is not finite: the weights are damaged")
    if not guess.known:
        return judged("first_loss", "pass" if value <= limit else "warn", value, limit, "far above guessing")
    if value >= limit:
        return Finding("first_loss", "fail", value, limit, "no better than guessing: wrong tokenizer or empty weights")
    verdict: Verdict = "warn" if value > HIGH_FOR_LEARNT * limit else "pass"
    return judged("first_loss", verdict, value, limit, "high for a pretrained model: is this the right template?")


def _growth(spreads: Sequence[float]) -> Finding:
    if dead := sum(not math.isfinite(spread) or spread == 0 for spread in spreads):
        return Finding("activations", "fail", dead, 0, "layers whose output is constant or not finite: damaged weights")
    growth = max(max(after / before, before / after) for before, after in itertools.pairwise(spreads))
    advice = "activations explode or vanish from one layer to the next"
    return judged("activations", "pass" if growth <= MOST_GROWTH else "fail", growth, MOST_GROWTH, advice)


def _gradient(gradients: Sequence[torch.Tensor]) -> Finding:
    """The largest gradient norm among the parameters: neither zero nor beyond all bounds."""
    norms = [float(torch.linalg.vector_norm(gradient.float())) for gradient in gradients]
    largest = max(norms, key=lambda norm: norm if math.isfinite(norm) else math.inf, default=0.0)
    if not math.isfinite(largest) or largest > MOST_GRADIENT:
        advice = "gradients explode: lower the learning rate, or use float32"
        return Finding("gradient", "fail", largest, MOST_GRADIENT, advice)
    if largest < LEAST_GRADIENT:
        return Finding("gradient", "fail", largest, LEAST_GRADIENT, "no gradient reaches the weights that train")
    return Finding("gradient", "pass", largest, MOST_GRADIENT, "")


def _layer_norms(gradients: Mapping[str, torch.Tensor]) -> list[float]:
    """Gradient norms of the layers in their order, those without a gradient left out."""
    by_layer = norms_by_layer(gradients)
    numbered = sorted((int(name.split()[1]), norm) for name, norm in by_layer.items() if name.startswith("layer "))
    return [norm for _, norm in numbered if norm]


def _ratio(norms: Sequence[float]) -> Finding:
    ratio = norms[0] / norms[-1]
    sound = 1 / MOST_GRADIENT_RATIO <= ratio <= MOST_GRADIENT_RATIO
    advice = f"gradients {'vanish' if ratio < 1 else 'explode'} on their way to the first layer"
    limit = MOST_GRADIENT_RATIO if ratio >= 1 else 1 / MOST_GRADIENT_RATIO
    return judged("gradient_ratio", "pass" if sound else "fail", ratio, limit, advice)
