"""`luthier plan`: what a training will need, measured on a few steps of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from luthier.core.artefacts import Plan
from luthier.core.identity import content_id
from luthier.core.recipe import Dtype, Recipe
from luthier.kernels.allocator import free_memory
from luthier.models.adapter import trainable
from luthier.pipeline.base import open_base
from luthier.pipeline.objectives import Lesson, open_lesson, training_dataset
from luthier.pipeline.prepare import data_need
from luthier.pipeline.project import Project
from luthier.planning import (
    ForwardPass,
    Machine,
    ModelShape,
    PlanFigures,
    Schedule,
    Setup,
    Way,
    estimate,
    measured_speed,
    trained_by,
)
from luthier.training import Schedule as StepSchedule
from luthier.training.objective import E, Example

PROBE_BATCHES = 4
"""Forward and backward passes that are timed; the first warms up and does not count."""


@dataclass(frozen=True, slots=True)
class Planned:
    plan: str
    figures: PlanFigures
    seconds: float

    def to_json(self) -> dict[str, object]:
        return {"plan": self.plan, **self.figures.to_json(), "probe_seconds": round(self.seconds, 2)}


def plan(project: Project) -> Planned:
    """Estimate memory, time and cost of training this recipe here, and whether its data suffices."""
    begin = time.monotonic()
    available = free_memory()
    recipe = project.recipe
    with project.locked("plan"):
        base = open_base(project)
        dataset = training_dataset(project, base)
        lesson = open_lesson(project, base, dataset)
        rows = lesson.rows
        steps = lesson.schedule(recipe.training, recipe.data.max_length)
        setup = _setup(lesson, recipe, base.dtype, max((batch for step in steps.steps for batch in step), key=_tokens))
        data = data_need(recipe.task, len(rows), sum(map(_targets, rows)), recipe.training.num_train_epochs)
        schedule = Schedule(
            tokens_per_epoch=_tokens(rows),
            num_train_epochs=recipe.training.num_train_epochs,
            tokens_per_step=math.ceil(steps.tokens / len(steps.steps)),
            validation_tokens=_tokens(lesson.validation),
            eval_steps=recipe.training.eval_steps,
        )
        speed = measured_speed(_probe(project, lesson, steps))
        figures = estimate(setup, schedule, speed, Machine(available, recipe.planning.price_per_hour), data)
        content = {**figures.to_json(), "tokens_per_second": speed.to_json()}
        identity = content_id("plan", [dataset.id, base.artefact.id, content])
        project.registry.add(Plan(id=identity, parents=(dataset.id, base.artefact.id), summary=content))
    return Planned(identity, figures, time.monotonic() - begin)


def _probe(project: Project, lesson: Lesson[E], steps: StepSchedule[E]) -> list[float]:
    """Tokens per second of single optimiser steps as training will run them, weights unchanged."""
    parameters = list(trainable(lesson.model).values())
    batches = [batch for step in steps.steps for batch in step][:PROBE_BATCHES]
    lesson.start([row for batch in batches for row in batch])
    speeds = []
    for number in range(PROBE_BATCHES):
        batch = batches[number % len(batches)]
        begin = time.monotonic()
        torch.autograd.grad(lesson.objective.step(batch)(batch), parameters)
        speeds.append(_tokens(batch) / (time.monotonic() - begin))
        project.reporter.progress("timing a few steps", number + 1, PROBE_BATCHES)
    return speeds[1:]


def _setup(lesson: Lesson[Any], recipe: Recipe, dtype: Dtype, largest: Sequence[Example]) -> Setup:
    """What is trained, with the largest forward pass; sizes are those of the base model's configuration."""
    shape = ModelShape.of(lesson.model.config.to_dict())
    counted = sum(parameter.numel() for parameter in trainable(lesson.model).values())
    trained = replace(trained_by(shape, recipe.adapter), parameters=counted)
    tokens = _tokens(largest)
    row_tokens = sum(len(row) ** 2 for row in largest) // tokens
    # Of labels there are so few that their logits do not count.
    targets = sum(map(_targets, largest)) if recipe.task != "classification" else 0
    again = recipe.training.gradient_checkpointing is True
    return Setup(
        shape,
        trained,
        Way(dtype, recipe.model.quantization == "int8", again),
        ForwardPass(tokens, targets, row_tokens),
        recipe.adapter.r if recipe.adapter.method == "lora" else 0,
    )


def _tokens(rows: Sequence[Example]) -> int:
    return sum(len(row) for row in rows)


def _targets(row: Example) -> int:
    return row.target_tokens
