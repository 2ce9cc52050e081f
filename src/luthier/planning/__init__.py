"""Memory, time, cost and data need of a training: arithmetic on numbers that are passed in."""

from luthier.planning.buying import Comparison, Line, do_or_buy
from luthier.planning.choices import memory_advice
from luthier.planning.duration import Around, Range, Schedule, measured_speed, training_cost, training_seconds
from luthier.planning.estimate import Machine, PlanFigures, estimate
from luthier.planning.learning_curve import CurveForecast, LearningCurve, Point
from luthier.planning.memory import (
    MOMENT_BYTES,
    ForwardPass,
    Kept,
    MemoryEstimate,
    Way,
    estimate_memory,
    step_bytes,
    tokens_that_fit,
)
from luthier.planning.methods import MethodRow, compare_methods
from luthier.planning.operations import operations_per_token
from luthier.planning.prices import Hardware, Prices, default_prices, read_prices
from luthier.planning.projection import Projection, here, project_on, projected_speed
from luthier.planning.proposal import Proposal, propose
from luthier.planning.report_page import render_page
from luthier.planning.setup import Setup
from luthier.planning.shape import ModelShape
from luthier.planning.sufficiency import DataNeed, forecast_data, forecast_labels, forecast_texts
from luthier.planning.trained import Trained, trained_by
from luthier.planning.wording import change_text, machine_row, method_row, money_text, time_text
from luthier.planning.workload import Workload

__all__ = [
    "MOMENT_BYTES",
    "Around",
    "Comparison",
    "CurveForecast",
    "DataNeed",
    "ForwardPass",
    "Hardware",
    "Kept",
    "LearningCurve",
    "Line",
    "Machine",
    "MemoryEstimate",
    "MethodRow",
    "ModelShape",
    "PlanFigures",
    "Point",
    "Prices",
    "Projection",
    "Proposal",
    "Range",
    "Schedule",
    "Setup",
    "Trained",
    "Way",
    "Workload",
    "change_text",
    "compare_methods",
    "default_prices",
    "do_or_buy",
    "estimate",
    "estimate_memory",
    "forecast_data",
    "forecast_labels",
    "forecast_texts",
    "here",
    "machine_row",
    "measured_speed",
    "memory_advice",
    "method_row",
    "money_text",
    "operations_per_token",
    "project_on",
    "projected_speed",
    "propose",
    "read_prices",
    "render_page",
    "step_bytes",
    "time_text",
    "tokens_that_fit",
    "trained_by",
    "training_cost",
    "training_seconds",
]
