"""What a forward pass keeps for the backward pass, counted on one example before the first step."""

import torch
from torch import nn

from luthier.training.objective import E, Objective


def kept_bytes(objective: Objective[E], example: E, model: nn.Module) -> int:
    """Bytes that the forward pass of one example keeps for the backward pass. The model's weights do not count."""
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = objective.step([example])([example])
    del loss
    return sum(kept.values())
