"""Several processes that train one model together, each on a share of every step's micro-batches.

All of them know the whole schedule, so that the only things they exchange are gradients and losses; each then makes the
same step. `torchrun` or Ray Train starts them and says which is which.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.tensor import DTensor

from luthier.core.errors import TrainingError
from luthier.core.processes import process_count

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process, `rank`, among `size`. Processes are counted from 0; the first one writes files."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls) -> "Ranks":
        """Meet the other processes that torchrun or Ray has started; alone where none has. Gradients go through gloo.

        Raises TrainingError where the others cannot be reached, or WORLD_SIZE does not say how many they are.
        """
        if not dist.is_initialized():
            if process_count("WORLD_SIZE") == 1:
                return cls()
            try:
                dist.init_process_group("gloo")
            except (RuntimeError, ValueError) as error:
                raise TrainingError(
                    f"the other processes cannot be reached: {error}", where="torchrun", allowed="see its MASTER_ADDR"
                ) from error
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """Every how-manieth item is this process's own."""
        return items[self.rank :: self.size]

    @contextmanager
    def first_one_first(self) -> Iterator[None]:
        """The first process runs the block, then the others do: what it has fetched and written is there for them."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def wait(self) -> None:
        """Go on when all have come so far."""
        if self.size > 1:
            dist.barrier()

    def sum(self, value: float) -> float:
        """The sum of everyone's value."""
        if self.size == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total)

    def agree(self, value: T) -> T:
        """What the first process says, for a value that others lack or that rounding might make another there."""
        if self.size == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said)
        return said[0]

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Add up everyone's gradients, those that are missing as zeros: in each process the same sum. Gradients of
        weights in shards are sums already."""
        trained = [parameter for parameter in parameters if not isinstance(parameter, DTensor)]
        if self.size == 1 or not trained:
            return
        for parameter in trained:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        flat = torch.cat([parameter.grad.flatten() for parameter in trained if parameter.grad is not None])
        dist.all_reduce(flat)
        start = 0
        for parameter in trained:
            assert parameter.grad is not None
            parameter.grad.copy_(flat[start : start + parameter.numel()].view_as(parameter.grad))
            start += parameter.numel()
