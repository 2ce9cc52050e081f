"""One training as memory and time see it."""

from dataclasses import dataclass

from luthier.core.recipe import BaseQuantization
from luthier.planning.memory import QUANTIZED, RUNTIME_BYTES, ForwardPass, MemoryEstimate, Way, estimate_memory
from luthier.planning.shape import ModelShape
from luthier.planning.trained import Trained


@dataclass(frozen=True, slots=True)
class Setup:
    """What is trained and how: `forward` is the largest forward pass, `r` the rank where an adapter has one.
    `quantizations` are those that the base weights may be kept in beside all else that the recipe wants, `runtime` are
    the bytes of the process before it loads the model."""

    shape: ModelShape
    trained: Trained
    way: Way
    forward: ForwardPass
    r: int = 0
    quantizations: tuple[BaseQuantization, ...] = tuple(QUANTIZED)
    runtime: int = RUNTIME_BYTES

    @property
    def memory(self) -> MemoryEstimate:
        """What it takes, by calculation."""
        return estimate_memory(self.shape, self.trained, self.way, self.forward, self.r, self.runtime)
