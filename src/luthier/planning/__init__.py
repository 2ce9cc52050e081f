"""Memory, time, cost and data need of a training: arithmetic on numbers that are passed in."""

from luthier.planning.duration import Range, Schedule, measured_speed, training_cost, training_seconds
from luthier.planning.estimate import Machine, PlanFigures, Setup, estimate, memory_advice
from luthier.planning.memory import (
    ForwardPass,
    Kept,
    MemoryEstimate,
    Way,
    estimate_memory,
    tokens_that_fit,
)
from luthier.planning.shape import ModelShape
from luthier.planning.sufficiency import DataNeed, forecast_data, forecast_labels, forecast_texts
from luthier.planning.trained import Trained, trained_by

__all__ = [
    "DataNeed",
    "ForwardPass",
    "Kept",
    "Machine",
    "MemoryEstimate",
    "ModelShape",
    "PlanFigures",
    "Range",
    "Schedule",
    "Setup",
    "Trained",
    "Way",
    "estimate",
    "estimate_memory",
    "forecast_data",
    "forecast_labels",
    "forecast_texts",
    "measured_speed",
    "memory_advice",
    "tokens_that_fit",
    "trained_by",
    "training_cost",
    "training_seconds",
]
