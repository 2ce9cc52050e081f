"""Memory, time, cost and data need of a training: arithmetic on numbers that are passed in."""

from luthier.planning.duration import Range, Schedule, measured_speed, training_cost, training_seconds
from luthier.planning.estimate import Machine, PlanFigures, TrainingSetup, estimate
from luthier.planning.memory import MemoryEstimate, ModelShape, estimate_memory
from luthier.planning.sufficiency import DataNeed, forecast_data, forecast_labels, forecast_texts

__all__ = [
    "DataNeed",
    "Machine",
    "MemoryEstimate",
    "ModelShape",
    "PlanFigures",
    "Range",
    "Schedule",
    "TrainingSetup",
    "estimate",
    "estimate_memory",
    "forecast_data",
    "forecast_labels",
    "forecast_texts",
    "measured_speed",
    "training_cost",
    "training_seconds",
]
