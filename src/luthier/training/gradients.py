"""Norms of gradients by layer: where they vanish or explode."""

import re
from collections.abc import Mapping

import torch

from luthier.models.sharding import whole

_LAYER = re.compile(r"\.(\d+)\.")


def norms_by_layer(gradients: Mapping[str, torch.Tensor | None]) -> dict[str, float]:
    """Norm of the gradients of each layer's parameters, as `layer 0`, `layer 1` …; of those in no layer as `others`.

    The layer is the first number in a parameter's name. Parameters without a gradient count as zero.
    """
    squares: dict[str, float] = {}
    for name, gradient in gradients.items():
        layer = _LAYER.search(name)
        group = f"layer {layer[1]}" if layer else "others"
        norm = 0.0 if gradient is None else float(whole(torch.linalg.vector_norm(gradient.float())))
        squares[group] = squares.get(group, 0.0) + norm**2
    return {group: square**0.5 for group, square in squares.items()}
