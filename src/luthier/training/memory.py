"""What forward passes keep for the backward pass, counted before the first step."""

from typing import Any

import torch
from torch import nn

from luthier.training.objective import E, Objective


def kept_bytes(objective: Objective[E], example: E, model: nn.Module) -> int:
    """Bytes that the forward pass of one example keeps for the backward pass. The model's weights do not count."""
    kept = KeptBytes(model)
    with kept.counted():
        loss = objective.step([example])([example])
    del loss
    return kept.most


class KeptBytes:
    """Bytes that forward passes keep for backward passes, at most at a time; the model's weights do not count."""

    def __init__(self, model: nn.Module) -> None:
        self._weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        self._alive: dict[int, tuple[int, int]] = {}
        self._now = self.most = 0

    def counted(self) -> Any:
        return torch.autograd.graph.saved_tensors_hooks(self._pack, _Saved.unpack)

    def _pack(self, tensor: torch.Tensor) -> "_Saved":
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), 0 if storage.data_ptr() in self._weights else storage.nbytes()
        count, known = self._alive.get(place, (0, 0))
        self._alive[place] = (count + 1, max(size, known))
        self._now += max(size - known, 0)
        self.most = max(self.most, self._now)
        return _Saved(tensor, self, place)

    def release(self, place: int) -> None:
        count, size = self._alive.pop(place)
        if count > 1:
            self._alive[place] = (count - 1, size)
        else:
            self._now -= size


class _Saved:
    """A tensor that a graph holds; when the graph lets go of it, it no longer counts."""

    def __init__(self, tensor: torch.Tensor, kept: KeptBytes, place: int) -> None:
        self._tensor, self._kept, self._place = tensor, kept, place

    def unpack(self) -> torch.Tensor:
        return self._tensor

    def __del__(self) -> None:
        self._kept.release(self._place)
