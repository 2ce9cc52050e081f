"""Normalisations of transformers' models that kernels of ours can stand in for."""

from typing import Any

import torch


def plain_norm(module: Any) -> tuple[torch.Tensor, float] | None:
    """Weight, [hidden_size], and epsilon of a root mean square normalisation of the common form, told by its name and
    fields; None of others. What it computes is for the caller to compare: a name promises nothing."""
    weight = getattr(module, "weight", None)
    named = type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon")
    return (weight, module.variance_epsilon) if named and isinstance(weight, torch.Tensor) else None
