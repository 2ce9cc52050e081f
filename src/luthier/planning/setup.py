"""One training as memory and time see it."""

from dataclasses import dataclass

from luthier.planning.memory import ForwardPass, MemoryEstimate, Way, estimate_memory
from luthier.planning.shape import ModelShape
from luthier.planning.trained import Trained


@dataclass(frozen=True, slots=True)
class Setup:
    """What is trained and how: `forward` is the largest forward pass, `r` the rank where an adapter has one."""

    shape: ModelShape
    trained: Trained
    way: Way
    forward: ForwardPass
    r: int = 0

    @property
    def memory(self) -> MemoryEstimate:
        return estimate_memory(self.shape, self.trained, self.way, self.forward, self.r)
