"""Layers whose activations are computed once more in the backward pass instead of being kept."""

from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers that transformers itself would recompute: those of the stack of a transformer."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def recompute_layers(model: nn.Module) -> None:
    """Keep of each layer only its inputs. Losses and gradients stay what they were; a step takes a forward pass more.

    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost.
    """
    for layer in layers_of(model):
        layer.forward = partial(_recomputed, layer.forward)


def recomputes(model: nn.Module) -> bool:
    """Whether `recompute_layers` was called on this model."""
    return any(getattr(vars(layer).get("forward"), "func", None) is _recomputed for layer in layers_of(model))


def recomputed_bytes(model: Any, kept: int, tokens: int) -> int:
    """Bytes that `recompute_layers` leaves of `kept` bytes of activations, of so many tokens: the inputs of all layers,
    and all that one of them keeps."""
    layers = len(layers_of(model))
    width: int = model.config.get_text_config().hidden_size * model.dtype.itemsize
    return layers * tokens * width + kept // layers


def _recomputed(forward: Any, *args: Any, **kwargs: Any) -> Any:
    return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)
