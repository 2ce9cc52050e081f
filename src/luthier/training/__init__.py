"""Packing, the loop, checkpoints, and the check that a model can learn."""

from luthier.training.checkpoint import Checkpoint
from luthier.training.health import Finding, check_health, overall, unmoved
from luthier.training.loop import Training, fit
from luthier.training.schedule import Schedule, pack_capacity
from luthier.training.state import TrainingState

__all__ = [
    "Checkpoint",
    "Finding",
    "Schedule",
    "Training",
    "TrainingState",
    "check_health",
    "fit",
    "overall",
    "pack_capacity",
    "unmoved",
]
