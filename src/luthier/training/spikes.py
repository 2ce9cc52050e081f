"""When a step's loss is a spike. After one, weights from before come back.

After Chowdhery et al. 2022, PaLM, section 5.1, where training went back to a checkpoint from before a spike and passed
over the batches around it.
"""

from collections.abc import Sequence

WINDOW = 32
"""Losses that a new one is compared with."""
FEWEST = 16
"""Before so many steps no loss is a spike: at the start it falls from where it likes."""
FACTOR, MARGIN = 2.0, 1.0
"""A spike is so many times the largest loss of the window, and by so many nats above it."""


def is_spike(losses: Sequence[float], loss: float) -> bool:
    """Whether a step's loss stands out of those of the steps before, which are all finite."""
    recent = losses[-WINDOW:]
    return len(recent) >= FEWEST and loss > max(FACTOR * max(recent), max(recent) + MARGIN)
