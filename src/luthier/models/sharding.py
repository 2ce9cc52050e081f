"""Weights in shards over several processes: each keeps a part, and gets the rest of a layer while it computes.

Source: Zhao et al. 2023, PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel; torch's second form of it
(`fully_shard`), in which a weight stays a tensor of its own.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from luthier.core.errors import ModelError
from luthier.models.adapter import trainable, without_adapter
from luthier.models.recompute import layers_of


def shard(model: Any) -> None:
    """Leave to each of the processes that have met a part of every weight of the model, with or without an adapter.

    From now on all of them make the same forward and backward passes at the same time. Gradients are summed over the
    processes, in fp32 for narrower types. Raises ModelError where weights of several types train.
    """
    dtype, *others = {parameter.dtype for parameter in trainable(model).values()}
    if others:
        raise ModelError(
            "weights of several types train, which cannot lie in shards",
            where="training.sharding",
            allowed="none, or model.dtype: float32",
        )
    causal = without_adapter(model)
    mesh = init_device_mesh(causal.device.type, (dist.get_world_size(),))
    policy = MixedPrecisionPolicy(reduce_dtype=torch.promote_types(dtype, torch.float32))
    for module in [*layers_of(causal), causal]:
        fully_shard(module, mesh=mesh, mp_policy=policy)
    for part in _shards(model):
        part.set_gradient_divide_factor(1.0)
        part.set_force_sum_reduction_for_comms(True)  # gloo knows no mean


def is_sharded(model: Any) -> bool:
    """Whether `shard` was called on this model."""
    return isinstance(without_adapter(model), FSDPModule)


@contextmanager
def whole_model(model: nn.Module, here: bool = True) -> Iterator[None]:
    """Inside the block the model has whole weights, to be written, in the process that wants them `here`; the others
    enter it too and hand over their parts. What is tied stays tied."""
    for part in _shards(model):
        part.reshard()  # the outermost keeps what it has gathered after a forward pass
    places: list[tuple[nn.Module, str, Any]] = [
        (module, name, parameter)
        for module in model.modules()
        for name, parameter in module._parameters.items()
        if isinstance(parameter, DTensor)
    ]
    gathered: dict[Any, nn.Parameter] = {}
    for _, _, parameter in places:
        if parameter not in gathered:
            found = parameter.full_tensor()
            gathered[parameter] = nn.Parameter(found if here else found[:0].clone(), parameter.requires_grad)
    hooks = {module: module._load_state_dict_post_hooks for module, _, _ in places}
    if here:
        for module, name, parameter in places:
            module._parameters[name] = gathered[parameter]
            module._load_state_dict_post_hooks = OrderedDict()  # torch's would look for shards in what is loaded
    try:
        yield
    finally:
        for module, name, parameter in places:
            module._parameters[name] = parameter
            module._load_state_dict_post_hooks = hooks[module]


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with the parts that other processes have of it, all of which ask for it; or one that no one shares."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def part_of(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """What of a whole tensor belongs here, where another one, `like`, lies in shards; else all of it."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)


def _shards(model: nn.Module) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]
