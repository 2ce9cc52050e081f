"""Are a model's weights sound, and does the learning rate suit them? Looked at before anything is computed."""

import re
import statistics
from collections.abc import Mapping, Sequence

from torch import nn

from luthier.core.recipe import Initialisation
from luthier.models.initialisation import spread_by_scheme
from luthier.training.finding import Finding, Verdict, judged

WIDEST_SPREAD = 6.0
"""A weight's size over the median of the same weight in other layers. Sound models stay within 2 (measured on
SmolLM2-135M and MiniLM); below it down to a quarter, so that the lower limit is an eighth."""
NARROWEST_SPREAD = 1 / 8
FURTHEST_FROM_SCHEME = 5.0
"""Times that the weights of a new model may be wider or narrower than the scheme of their initialisation draws them."""
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


def check_initialisation(model: nn.Module, scheme: Initialisation) -> Finding | None:
    """How far the weights of a model that has learnt nothing are from how the scheme draws them: the median of the
    factors between the two. None for an architecture whose default is not known."""
    expected = spread_by_scheme(model, scheme)
    factors = [
        float(weight.detach().float().std()) / expected[name]
        for name, weight in model.named_parameters()
        if expected.get(name)
    ]
    if not factors:
        return None
    factor = statistics.median(factors)
    limit = FURTHEST_FROM_SCHEME if factor >= 1 else 1 / FURTHEST_FROM_SCHEME
    sound = 1 / FURTHEST_FROM_SCHEME <= factor <= FURTHEST_FROM_SCHEME
    advice = f"new weights are {factor:.2g} times as wide as usual: look at model.config and model.initialisation"
    return judged("initialisation", "pass" if sound else "fail", factor, limit, advice)


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
    advice = f"{worst} is not of the size that other layers have: badly initialised or damaged"
    return judged("weight_sizes", "pass" if sound else "fail", furthest, limit, advice)


def _update(sizes: Sequence[float], learning_rate: float) -> Finding:
    """Adam's first steps change each number by the learning rate, whatever the gradient is."""
    share = learning_rate / statistics.median(sizes) if sizes else 0.0
    verdict: Verdict = "pass" if share <= WARM_UPDATE else "warn" if share <= HOT_UPDATE else "fail"
    advice = "a step changes the weights beyond recognition: lower training.learning_rate"
    return judged("update_ratio", verdict, share, HOT_UPDATE if verdict == "fail" else WARM_UPDATE, advice)
