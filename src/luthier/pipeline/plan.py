"""`luthier plan`: what a training will need, measured on a few steps of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from luthier.core.artefacts import Plan
from luthier.core.identity import content_id
from luthier.kernels.allocator import free_memory
from luthier.models.adapter import trainable
from luthier.pipeline.base import open_base
from luthier.pipeline.objectives import Lesson, open_lesson, training_dataset
from luthier.pipeline.prepare import data_need
from luthier.pipeline.project import Project
from luthier.planning import (
    Machine,
    ModelShape,
    PlanFigures,
    Schedule,
    TrainingSetup,
    estimate,
    measured_speed,
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
        rows, model = lesson.rows, lesson.model
        trained = sum(parameter.numel() for parameter in trainable(model).values())
        shape = _shape(model, trained, lesson.choices)
        steps = lesson.schedule(recipe.training, recipe.data.max_length)
        largest = max((batch for step in steps.steps for batch in step), key=_tokens)
        setup = TrainingSetup(
            dtype=base.dtype,
            r=recipe.adapter.r if recipe.adapter.method == "lora" else 0,
            trained_parameters=trained,
            tokens_per_forward=_tokens(largest),
            logit_tokens=sum(map(_targets, largest)),
            data=data_need(recipe.task, len(rows), sum(map(_targets, rows)), recipe.training.num_train_epochs),
        )
        schedule = Schedule(
            tokens_per_epoch=_tokens(rows),
            num_train_epochs=recipe.training.num_train_epochs,
            tokens_per_step=math.ceil(steps.tokens / len(steps.steps)),
            validation_tokens=_tokens(lesson.validation),
            eval_steps=recipe.training.eval_steps,
        )
        speed = measured_speed(_probe(project, lesson, steps))
        figures = estimate(shape, setup, schedule, speed, Machine(available, recipe.planning.price_per_hour))
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


def _shape(model: Any, trained: int, choices: int) -> ModelShape:
    """Sizes of the base model, of which `trained` weights were added if it has an adapter."""
    config = model.config.get_text_config()
    weights = sum(parameter.numel() for parameter in model.parameters())
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return ModelShape(
        parameters=weights - trained if hasattr(model, "peft_config") else weights,
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        intermediate_size=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        key_value_size=(getattr(config, "num_key_value_heads", None) or heads) * head_dim,
        vocab_size=choices,
    )


def _tokens(rows: Sequence[Example]) -> int:
    return sum(len(row) for row in rows)


def _targets(row: Example) -> int:
    return row.target_tokens
