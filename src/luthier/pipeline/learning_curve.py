"""Small trainings on parts of the rows, to learn what more rows would bring."""

import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from luthier.core.artefacts import Dataset
from luthier.core.errors import DatasetError
from luthier.core.progress import Silent
from luthier.pipeline.base import Base
from luthier.pipeline.project import Project
from luthier.pipeline.train import set_up
from luthier.planning import CurveForecast, Point
from luthier.training import Checkpoint, Ranks, Training, TrainingState, fit

DRAWS: tuple[tuple[int, int], ...] = ((16, 0), (16, 1), (8, 0), (4, 0))
"""Trainings by the part of the rows that they take, a sixteenth and so on, and which draw of them. The smallest is made
twice, which shows how much chance there is in it."""
HALF = (2, 0)
VALIDATIONS = 4
"""In each training; the best one counts where the recipe keeps the best weights."""
LEAST_ROWS = 8
"""Of the smallest training."""

Extent = Literal["quarter", "half"]


def share_of_rows(extent: Extent) -> float:
    """Rows that all the trainings read together, in times the rows that there are."""
    return sum(1 / part for part, _ in _draws(extent))


def trainings(extent: Extent) -> int:
    """How many trainings there will be."""
    return len(_draws(extent))


def learning_curve(project: Project, base: Base, dataset: Dataset, rows: int, extent: Extent) -> CurveForecast:
    """Train on parts of the rows as the recipe says, and forecast the loss on all of them and on twice as many.

    Raises DatasetError where there are too few rows, or none to validate on.
    """
    least = LEAST_ROWS * max(part for part, _ in _draws(extent))
    if rows < least:
        raise DatasetError(
            f"a learning curve needs at least {least} training rows; there are {rows}",
            where="planning.learning_curve",
            allowed="leave it out",
        )
    draws = _draws(extent)
    points = []
    for number, (part, draw) in enumerate(draws):
        points.append(_train_on(project, base, dataset, part, draw))
        project.reporter.progress("training on parts of the rows", number + 1, len(draws), _told(points[-1]))
    return CurveForecast.of(points, rows)


def _draws(extent: Extent) -> tuple[tuple[int, int], ...]:
    return (*DRAWS, HALF) if extent == "half" else DRAWS


def _train_on(project: Project, base: Base, dataset: Dataset, part: int, draw: int) -> Point:
    """The validation loss that training on one of so many parts of the rows ends with."""
    taken: list[int] = []

    def some(rows: Sequence[Any]) -> Sequence[Any]:
        shuffled = list(rows)
        random.Random(f"learning curve {draw}").shuffle(shuffled)
        taken.append(len(rows) // part)
        return shuffled[: taken[0]]

    quiet = replace(project, reporter=Silent())
    training = set_up(quiet, base, dataset, Ranks(), some, checks=False).training
    if not training.validation_examples:
        raise DatasetError("a learning curve needs validation rows", where=dataset.id, allowed="data.split.validation")
    settings = training.settings.model_copy(
        update={
            "eval_steps": math.ceil(len(training.schedule.steps) / VALIDATIONS),
            "early_stopping_patience": None,  # in few steps a pause says nothing
            "load_best_model_at_end": False,
        }
    )
    with tempfile.TemporaryDirectory(dir=project.workspace.state, prefix="curve-") as folder:
        state = fit(replace(training, settings=settings), Checkpoint(Path(folder)), False, lambda _: None)
    return Point(taken[0], _kept_loss(training, state))


def _kept_loss(training: Training[Any], state: TrainingState) -> float:
    """The loss of the weights that the recipe would keep."""
    if training.settings.load_best_model_at_end and state.best_loss is not None:
        return state.best_loss
    return state.validation_curve[-1]["loss"]


def _told(point: Point) -> str:
    return f"loss {point.loss:.3f} after {point.rows} rows"
