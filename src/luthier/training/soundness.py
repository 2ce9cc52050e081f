"""Are a model's weights sound, and do rows and settings suit them? Looked at before anything is trained."""

import itertools
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import nn

from luthier.core.rows import TokenRow
from luthier.models.recompute import layers_of
from luthier.training.gradients import norms_by_layer
from luthier.training.health import Finding, Verdict

WIDEST_SPREAD = 6.0
"""A weight's size over the median of the same weight in other layers. Sound models stay within 2 (measured on
SmolLM2-135M and MiniLM); below it down to a quarter, so that the lower limit is an eighth."""
NARROWEST_SPREAD = 1 / 8
MOST_GROWTH = 1e3
"""Of the activations' spread from one layer to the next. A few large features multiply it by tens in sound models."""
MOST_GRADIENT_RATIO = 1e3
"""Of the first layer's gradient norm to the last one's, either way: beyond it layers learn at different speeds by as
much (Glorot and Bengio 2010, section 3, on what keeps them alike)."""
WARM_UPDATE, HOT_UPDATE = 0.3, 1.0
"""Share of a weight that one step of Adam changes: about the learning rate over the weight's usual size. A thousandth
is common for whole models and a tenth for LoRA's matrices; at one nothing is left of the weight."""
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


def check_weights(model: nn.Module, parameters: Mapping[str, nn.Parameter], learning_rate: float) -> list[Finding]:
    """Findings about the weights alone: whether any train, are all zero, or stand out of the other layers' ones, and
    how much of them a step at this learning rate changes. What trains may be zero at the start, as LoRA's B is."""
    if not parameters:
        return [Finding("trainable_weights", "fail", 0, 1, "nothing trains: look at adapter")]
    trained = sum(parameter.numel() for parameter in parameters.values())
    sizes = {
        name: float(parameter.detach().float().square().mean().sqrt())
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1
    }
    new = set(parameters) if hasattr(model, "peft_config") else set()
    frozen = {name: size for name, size in sizes.items() if name not in new}
    return [
        Finding("trainable_weights", "pass", trained, 1, ""),
        _zeros(frozen),
        _spread(frozen),
        _update([sizes[name] for name in parameters if sizes.get(name)], learning_rate),
    ]


def check_flow(
    model: nn.Module, parameters: Mapping[str, nn.Parameter], loss: Callable[[], torch.Tensor]
) -> list[Finding]:
    """Findings about one forward and backward pass: how activations and gradients change from layer to layer."""
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
    gradients = torch.autograd.grad(total, list(parameters.values()), materialize_grads=True)
    norms = _layer_norms(dict(zip(parameters, gradients, strict=True)))
    return [*([_growth(spreads)] if len(spreads) > 1 else []), *([_ratio(norms)] if len(norms) > 1 else [])]


class TokenIds(Protocol):
    """A row as the model reads it."""

    @property
    def input_ids(self) -> tuple[int, ...]: ...


def check_rows(rows: Sequence[TokenIds], vocabulary: int, longest: int | None, start: int | None) -> list[Finding]:
    """Findings about rows as tokens: ids that the model knows, lengths that it reads, one start token. `longest` and
    `start` are None where model or tokenizer have none."""
    largest, length = max(max(row.input_ids) for row in rows), max(len(row.input_ids) for row in rows)
    known = largest < vocabulary
    findings = [
        Finding(
            "token_ids",
            "pass" if known else "fail",
            largest,
            vocabulary - 1,
            "" if known else "the tokenizer has tokens that the model has no embedding for: luthier tokenizer extend",
        )
    ]
    if longest is not None:
        fits = length <= longest
        advice = "" if fits else f"rows are longer than the model reads: set data.max_length to {longest}"
        findings.append(Finding("longest_row", "pass" if fits else "fail", length, longest, advice))
    if start is not None:
        double = sum(row.input_ids[:2] == (start, start) for row in rows) / len(rows)
        advice = "" if not double else "rows begin with two start tokens: template and tokenizer both add one"
        findings.append(Finding("start_token", "fail" if double else "pass", double, 0, advice))
    return findings


def check_ends(rows: Sequence[TokenRow], end: int) -> Finding:
    """The share of rows whose last target is the end token, without which a model never learns to stop."""
    lasts = [
        [token for token, target in zip(row.input_ids, row.targets, strict=True) if target][-1]
        for row in rows
        if row.target_tokens
    ]
    share = sum(token == end for token in lasts) / len(lasts) if lasts else 0.0
    if share == 1:
        return Finding("end_token", "pass", share, 1, "")
    advice = "answers whose end is not learnt make a model that never stops"
    return Finding("end_token", "warn" if share else "fail", share, 1, advice)


def _zeros(sizes: Mapping[str, float]) -> Finding:
    zero = [name for name, size in sizes.items() if size == 0]
    advice = f"all zero: {zero[0]}; the model's files are damaged" if zero else ""
    return Finding("zero_weights", "fail" if zero else "pass", len(zero), 0, advice)


def _spread(sizes: Mapping[str, float]) -> Finding:
    """The weight that is furthest from the same weight in the other layers, as a factor."""
    kinds: dict[str, dict[str, float]] = {}
    for name, size in sizes.items():
        if size and _NUMBER.search(name):
            kinds.setdefault(_NUMBER.sub("*", name, count=1), {})[name] = size
    worst, furthest = "", 1.0
    for layers in kinds.values():
        for name, size in layers.items():
            others = [other for key, other in layers.items() if key != name]
            ratio = size / statistics.median(others) if others else 1.0
            if max(ratio / WIDEST_SPREAD, NARROWEST_SPREAD / ratio) > max(
                furthest / WIDEST_SPREAD, NARROWEST_SPREAD / furthest
            ):
                worst, furthest = name, ratio
    sound = NARROWEST_SPREAD <= furthest <= WIDEST_SPREAD
    limit = WIDEST_SPREAD if furthest >= 1 else NARROWEST_SPREAD
    advice = "" if sound else f"{worst} is not of the size that other layers have: badly initialised or damaged"
    return Finding("weight_sizes", "pass" if sound else "fail", furthest, limit, advice)


def _update(sizes: Sequence[float], learning_rate: float) -> Finding:
    """Adam's first steps change each number by the learning rate, whatever the gradient is."""
    share = learning_rate / statistics.median(sizes) if sizes else 0.0
    verdict: Verdict = "pass" if share <= WARM_UPDATE else "warn" if share <= HOT_UPDATE else "fail"
    advice = "" if verdict == "pass" else "a step changes the weights beyond recognition: lower training.learning_rate"
    return Finding("update_ratio", verdict, share, HOT_UPDATE if verdict == "fail" else WARM_UPDATE, advice)


def _growth(spreads: Sequence[float]) -> Finding:
    if dead := sum(not math.isfinite(spread) or spread == 0 for spread in spreads):
        return Finding("activations", "fail", dead, 0, "layers whose output is constant or not finite: damaged weights")
    growth = max(max(after / before, before / after) for before, after in itertools.pairwise(spreads))
    sound = growth <= MOST_GROWTH
    advice = "" if sound else "activations explode or vanish from one layer to the next"
    return Finding("activations", "pass" if sound else "fail", growth, MOST_GROWTH, advice)


def _layer_norms(gradients: Mapping[str, torch.Tensor]) -> list[float]:
    """Gradient norms of the layers in their order, those without a gradient left out."""
    by_layer = norms_by_layer(gradients)
    numbered = sorted((int(name.split()[1]), norm) for name, norm in by_layer.items() if name.startswith("layer "))
    return [norm for _, norm in numbered if norm]


def _ratio(norms: Sequence[float]) -> Finding:
    ratio = norms[0] / norms[-1]
    sound = 1 / MOST_GRADIENT_RATIO <= ratio <= MOST_GRADIENT_RATIO
    advice = "" if sound else f"gradients {'vanish' if ratio < 1 else 'explode'} on their way to the first layer"
    limit = MOST_GRADIENT_RATIO if ratio >= 1 else 1 / MOST_GRADIENT_RATIO
    return Finding("gradient_ratio", "pass" if sound else "fail", ratio, limit, advice)
