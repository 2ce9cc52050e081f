"""What of a model trains by a method, counted from its shape."""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from luthier.core.recipe import AdapterSection
from luthier.planning.shape import Linear, ModelShape

IA3_OUTPUTS = ("k_proj", "v_proj", "key", "value")
IA3_INPUTS = ("down_proj", "down")
"""Where PEFT puts the factors of IA3 in most architectures: on keys, values, and what goes into the last matrix."""


@dataclass(frozen=True, slots=True)
class Trained:
    """How many weights train, and through how many layers, from the last one down, the gradient has to flow.

    `beside` says whether they are an adapter's: in float32, beside the model's own.
    """

    parameters: int
    layers: int
    beside: bool


def trained_by(shape: ModelShape, adapter: AdapterSection) -> Trained:
    """What trains by the method of this section. Modules whose names only the loaded model knows count as none."""
    if adapter.method == "full":
        return Trained(shape.parameters, shape.layers, beside=False)
    if adapter.method == "freeze":
        return _unfrozen(shape, adapter)
    each = sum(_lora(linear, adapter.r, adapter.use_dora) for linear in _targets(shape, adapter))
    if adapter.method == "ia3":
        each = sum(
            linear.outputs if linear.name in IA3_OUTPUTS else linear.inputs
            for linear in shape.linears
            if linear.name in (*IA3_OUTPUTS, *IA3_INPUTS)
        )
    return Trained(shape.layers * each, shape.layers, beside=True)


def _lora(linear: Linear, r: int, dora: bool) -> int:
    return r * (linear.inputs + linear.outputs) + dora * linear.outputs


def _targets(shape: ModelShape, adapter: AdapterSection) -> Iterator[Linear]:
    """The matrices that get an adapter. Experts lie in one tensor, on which PEFT puts none."""
    named = adapter.target_modules
    names = [named] if isinstance(named, str) else named
    for linear in shape.linears:
        if linear.copies == 1 and (named == "all-linear" or linear.name in names):
            yield linear


def _unfrozen(shape: ModelShape, adapter: AdapterSection) -> Trained:
    layers = min(shape.layers, adapter.first_layers + adapter.last_layers)
    parameters, rest = layers * shape.layer_parameters, shape.layers - layers
    reached = shape.layers if adapter.first_layers else adapter.last_layers
    for pattern in adapter.train_modules:
        matched = sum(linear.parameters for linear in shape.linears if fnmatchcase(linear.name, pattern))
        matched += shape.norms if fnmatchcase("layernorm", pattern) or fnmatchcase("norm", pattern) else 0
        words = fnmatchcase("embed_tokens", pattern)
        parameters += rest * matched + words * shape.embeddings
        parameters += shape.vocab_size * shape.hidden_size if fnmatchcase("lm_head", pattern) else 0
        if matched or words:
            reached = shape.layers
    return Trained(parameters, min(shape.layers, reached), beside=False)
