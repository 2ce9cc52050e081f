"""`luthier plan`: what a training will need, measured on a few steps of it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psutil
import torch

from luthier.core.artefacts import Plan
from luthier.core.identity import content_id
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.batch import FlatBatch
from luthier.models.losses import RowsLoss
from luthier.pipeline.base import open_base, ready_to_train
from luthier.pipeline.prepare import dataset_rows, find_dataset, training_rows
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
from luthier.training import pack_capacity

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
    available = psutil.virtual_memory().available
    recipe = project.recipe
    with project.locked("plan"):
        base = open_base(project)
        dataset = find_dataset(project, base)
        rows = training_rows(project, base, dataset)
        validation = base.tokens(dataset_rows(project, dataset, "validation"))
        shape = _shape(base.load())
        model = ready_to_train(project, base)
        steps = StepSchedule.of(rows, recipe.training, pack_capacity(rows, recipe.data.max_length))
        largest = max((batch for step in steps.steps for batch in step), key=_tokens)
        setup = TrainingSetup(
            dtype=base.dtype,
            r=recipe.adapter.r if recipe.adapter.method == "lora" else 0,
            trained_parameters=sum(parameter.numel() for parameter in trainable(model).values()),
            tokens_per_forward=_tokens(largest),
            logit_tokens=sum(row.target_tokens for row in largest),
            rows=len(rows),
            target_tokens=sum(row.target_tokens for row in rows),
        )
        schedule = Schedule(
            tokens_per_epoch=_tokens(rows),
            num_train_epochs=recipe.training.num_train_epochs,
            tokens_per_step=math.ceil(steps.tokens / len(steps.steps)),
            validation_tokens=_tokens(validation),
            eval_steps=recipe.training.eval_steps,
        )
        speed = measured_speed(_probe(project, model, steps))
        figures = estimate(shape, setup, schedule, speed, Machine(available, recipe.planning.price_per_hour))
        content = {**figures.to_json(), "tokens_per_second": speed.to_json()}
        identity = content_id("plan", [dataset.id, base.artefact.id, content])
        project.registry.add(Plan(id=identity, parents=(dataset.id, base.artefact.id), summary=content))
    return Planned(identity, figures, time.monotonic() - begin)


def _probe(project: Project, model: Any, steps: StepSchedule[TokenRow]) -> list[float]:
    """Tokens per second of single optimiser steps as training will run them, weights unchanged."""
    loss = RowsLoss(model)
    parameters = list(trainable(model).values())
    batches = [batch for step in steps.steps for batch in step]
    speeds = []
    for number in range(PROBE_BATCHES):
        batch = FlatBatch.of(batches[number % len(batches)])
        begin = time.monotonic()
        torch.autograd.grad(loss.loss_sum(batch), parameters)
        speeds.append(batch.tokens / (time.monotonic() - begin))
        project.reporter.progress("timing a few steps", number + 1, PROBE_BATCHES)
    return speeds[1:]


def _shape(model: Any) -> ModelShape:
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return ModelShape(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        layers=config.num_hidden_layers,
        hidden_size=config.hidden_size,
        intermediate_size=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
        key_value_size=(getattr(config, "num_key_value_heads", None) or heads) * head_dim,
        vocab_size=config.vocab_size,
    )


def _tokens(rows: Sequence[TokenRow]) -> int:
    return sum(len(row) for row in rows)
