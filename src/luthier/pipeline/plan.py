"""`luthier plan`: what a training will need here and elsewhere, measured on a few steps of it or reckoned on paper."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from luthier.core.artefacts import Dataset, Plan
from luthier.core.files import atomic_directory, write_text
from luthier.core.identity import content_id
from luthier.core.recipe import BaseQuantization, Dtype, Recipe, TrainingSection, parse_recipe, with_fields
from luthier.kernels.allocator import attainable_memory
from luthier.kernels.ceiling import matmul_flops, weight_bytes_per_second
from luthier.models.adapter import trainable
from luthier.models.loading import DTYPES, resolve_dtype
from luthier.pipeline.base import Base, open_base
from luthier.pipeline.learning_curve import Extent, learning_curve, share_of_rows, trainings
from luthier.pipeline.objectives import training_dataset
from luthier.pipeline.prepare import data_need
from luthier.pipeline.prices import keep_prices, open_prices
from luthier.pipeline.probe import Probe, probe
from luthier.pipeline.project import Project
from luthier.pipeline.workload import bare_config, workload_of, workload_on_paper
from luthier.planning import (
    Around,
    Comparison,
    DataNeed,
    ForwardPass,
    Machine,
    MethodRow,
    ModelShape,
    PlanFigures,
    Prices,
    Projection,
    Proposal,
    Range,
    Schedule,
    Setup,
    Way,
    Workload,
    compare_methods,
    do_or_buy,
    estimate,
    here,
    project_on,
    projected_speed,
    propose,
    render_page,
    trained_by,
    training_seconds,
)
from luthier.training.objective import Example
from luthier.training.schedule import PACK_TOKENS
from luthier.training.schedule import Schedule as Steps

HERE = "this machine"
LEAST_FACTOR, LARGEST_FACTOR = 0.2, 5.0
"""How far a probe may correct the memory that grows with the batch; beyond, it measured something else."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan and all its figures. `machines` begins with this one; its time comes of `schedule`, `speed` (tokens a
    second) and `around`."""

    plan: str
    path: Path
    figures: PlanFigures
    workload: Workload
    schedule: Schedule
    speed: Range
    around: Around
    machines: tuple[Projection, ...]
    proposals: tuple[Proposal, ...]
    methods: tuple[MethodRow, ...]
    do_or_buy: Comparison
    currency: str
    measured: bool
    seconds: float

    @property
    def page(self) -> Path:
        """The plan as one HTML page."""
        return self.path / "plan.html"

    def seconds_with(self, num_train_epochs: int) -> Range:
        """How long the training would take here with another number of epochs; what happens once takes as long."""
        return training_seconds(replace(self.schedule, num_train_epochs=num_train_epochs), self.speed, self.around)

    def to_json(self) -> dict[str, object]:
        return {
            "plan": self.plan,
            "path": str(self.path),
            "page": str(self.page),
            **self.figures.to_json(),
            "measured": self.measured,
            "workload": self.workload.to_json(),
            "machines": [machine.to_json() for machine in self.machines],
            "proposals": [proposal.to_json() for proposal in self.proposals],
            "methods": [method.to_json() for method in self.methods],
            "do_or_buy": self.do_or_buy.to_json(),
            "currency": self.currency,
            "probe_seconds": round(self.seconds, 2),
        }


@dataclass(frozen=True, slots=True)
class _Basis:
    """What the figures are made from."""

    parents: tuple[str, ...]
    workload: Workload
    setup: Setup
    schedule: Schedule
    speed: Range
    around: Around
    factor: float
    trained_on: "_TrainedOn | None"
    """None where there are no weights to train."""

    @property
    def measured(self) -> bool:
        return self.trained_on is not None


@dataclass(frozen=True, slots=True)
class _TrainedOn:
    """What the measured training trains. To set one more up, without checks, takes `setup_seconds`."""

    base: Base
    dataset: Dataset
    setup_seconds: float


def plan(project: Project) -> Planned:
    """Estimate memory, time and cost of training this recipe here and on the machines of the price table, and whether
    its data suffices.

    Some steps are run, unless there are no weights to run: then everything is calculated from `config.json`. Raises as
    `train` does, GateRefused too: what would not be trained is not planned.
    """
    begin = time.monotonic()
    available = attainable_memory()
    recipe = project.recipe
    with project.locked("plan"):
        prices = open_prices(project)
        config = bare_config(project)
        basis = _measured(project) if config is None else _on_paper(project, config, prices)
        workload = basis.workload
        need = data_need(recipe.task, workload.rows, workload.target_tokens, recipe.training.num_train_epochs)
        if recipe.planning.learning_curve:
            need = _with_curve(project, basis, recipe.planning.learning_curve, need)
        price = recipe.planning.price_per_hour + prices.watts_here / 1000 * prices.electricity_per_kwh
        machine = Machine(available, price)
        figures = estimate(basis.setup, basis.schedule, basis.speed, machine, need, basis.around, basis.factor)
        own = here(HERE, available, figures, basis.speed, prices.watts_here, basis.measured)
        others = (project_on(basis.setup, basis.schedule, device, prices, basis.factor) for device in prices.hardware)
        machines = (own, *others)
        proposals = propose(basis.setup, workload, recipe.adapter, recipe.training, available, basis.factor)
        methods = compare_methods(basis.setup, basis.schedule, basis.speed, basis.around, available, basis.factor)
        fitting = [own] if own.fits else [one for one in machines if one.fits]
        cheapest = min(fitting, key=lambda one: one.cost.expected, default=own)
        comparison = do_or_buy(prices, cheapest.cost.expected, cheapest.name)
        content = {**figures.to_json(), "tokens_per_second": basis.speed.to_json()}
        identity = content_id("plan", [*basis.parents, content])
        planned = Planned(
            plan=identity,
            path=project.workspace.folder("plan", identity),
            figures=figures,
            workload=workload,
            schedule=basis.schedule,
            speed=basis.speed,
            around=basis.around,
            machines=machines,
            proposals=tuple(proposals),
            methods=tuple(methods),
            do_or_buy=comparison,
            currency=prices.currency,
            measured=basis.measured,
            seconds=time.monotonic() - begin,
        )
        keep_prices(project)
        _write(planned, recipe.name)
        path = project.workspace.relative(planned.path)
        project.registry.add(Plan(id=identity, parents=basis.parents, path=path, summary=content))
    return planned


def _write(planned: Planned, name: str) -> None:
    """The plan's folder: everything as JSON, and the page."""
    fields = planned.to_json()
    page = render_page(name, planned.figures, planned.machines, planned.methods, fields)
    with atomic_directory(planned.path) as folder:
        (folder / "plan.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")
        (folder / planned.page.name).write_text(page, encoding="utf-8")


def write_proposals(path: Path, proposals: Sequence[Proposal]) -> list[Proposal]:
    """Put what is proposed into a recipe's file, as far as it says something else now; comments stay. What was changed.

    Raises RecipeError, and writes nothing, where the recipe would not be one any more.
    """
    changed = [proposal for proposal in proposals if proposal.value != proposal.now]
    text = with_fields(path.read_text(encoding="utf-8"), {one.field: one.value for one in changed}, path.name)
    parse_recipe(text, where=path.name)
    write_text(path, text)
    return changed


def _measured(project: Project) -> _Basis:
    """From the steps of a real training."""
    recipe, begin = project.recipe, time.monotonic()
    base = open_base(project)
    dataset = training_dataset(project, base)
    opening = time.monotonic() - begin
    found = probe(project, base, dataset)
    steps = found.training.schedule
    first_epoch = [row for step in steps.steps[: steps.steps_per_epoch] for batch in step for row in batch]
    workload = workload_of(first_epoch, found.training.validation_examples, dataset)
    schedule = _schedule(steps, recipe.training, workload.validation_tokens)
    setup, factor = _corrected(_setup(found, recipe, base.dtype), found)
    around = replace(found.around, setup_seconds=opening + found.around.setup_seconds)
    trained_on = _TrainedOn(base, dataset, found.around.setup_seconds - found.check_seconds)
    parents = (dataset.id, base.artefact.id)
    return _Basis(parents, workload, setup, schedule, found.tokens_per_second, around, factor, trained_on)


def _schedule(steps: Steps[Example], settings: TrainingSection, validation_tokens: int) -> Schedule:
    """The steps that a training is laid out in, in numbers."""
    return Schedule(
        tokens_per_epoch=steps.tokens // settings.num_train_epochs,
        num_train_epochs=settings.num_train_epochs,
        tokens_per_step=max(1, steps.tokens // len(steps.steps)),
        validation_tokens=validation_tokens,
        eval_steps=settings.eval_steps,
    )


def _corrected(setup: Setup, found: Probe) -> tuple[Setup, float]:
    """The setup with what the process took before the first step, and the factor by which memory that grows with the
    batch is off."""
    memory = setup.memory
    factor = min(LARGEST_FACTOR, max(LEAST_FACTOR, (found.steps_bytes - memory.fixed) / memory.growing))
    before_steps = max(0, found.set_up_bytes - memory.corrected(factor).total)
    return replace(setup, runtime=setup.runtime + before_steps), factor


def _on_paper(project: Project, config: dict[str, object], prices: Prices) -> _Basis:
    """From sizes alone, and what this machine computes at best."""
    recipe = project.recipe
    shape, workload = ModelShape.of(config), workload_on_paper(project)
    dtype = resolve_dtype(recipe.model.dtype)
    pack = min(PACK_TOKENS, recipe.data.max_length)
    schedule, forward = workload.steps(recipe.training, pack)
    way = _way(recipe, dtype, recipe.training.gradient_checkpointing is True)
    r = recipe.adapter.r if recipe.adapter.method == "lora" else 0
    setup = Setup(shape, trained_by(shape, recipe.adapter), way, forward, r, possible_quantizations(recipe))
    flops, bandwidth = matmul_flops(DTYPES[dtype]), weight_bytes_per_second(DTYPES[dtype])
    speed = projected_speed(setup, schedule.tokens_per_step, flops, bandwidth, prices)
    return _Basis((), workload, setup, schedule, speed, Around(), factor=1.0, trained_on=None)


def _with_curve(project: Project, basis: _Basis, extent: Extent, need: DataNeed) -> DataNeed:
    """What a learning curve says of the data, having said how long it will take."""
    on = basis.trained_on
    if on is None:
        project.reporter.say("without weights there is nothing to train: the learning curve is left out")
        return need
    whole = training_seconds(basis.schedule, basis.speed, replace(basis.around, setup_seconds=0.0)).expected
    minutes = (share_of_rows(extent) * whole + trainings(extent) * on.setup_seconds) / 60
    project.reporter.say(f"{trainings(extent)} trainings on parts of the rows, about {minutes:.0f} minutes")
    return need.with_curve(learning_curve(project, on.base, on.dataset, basis.workload.rows, extent))


def _setup(found: Probe, recipe: Recipe, dtype: Dtype) -> Setup:
    """What is trained, with the largest forward pass; sizes are those of the base model's configuration."""
    largest = max((batch for step in found.training.schedule.steps for batch in step), key=_tokens)
    shape = ModelShape.of(found.model.config.to_dict())
    counted = sum(parameter.numel() for parameter in trainable(found.model).values())
    trained = replace(trained_by(shape, recipe.adapter), parameters=counted)
    tokens = _tokens(largest)
    row_tokens = sum(len(row) ** 2 for row in largest) // tokens
    # Of labels there are so few that their logits do not count.
    targets = sum(row.target_tokens for row in largest) if recipe.task != "classification" else 0
    return Setup(
        shape,
        trained,
        _way(recipe, dtype, found.recomputes),
        ForwardPass(tokens, targets, row_tokens),
        recipe.adapter.r if recipe.adapter.method == "lora" else 0,
        possible_quantizations(recipe),
        found.process_bytes,
    )


def possible_quantizations(recipe: Recipe) -> tuple[BaseQuantization, ...]:
    """Those that the recipe could have as it is."""
    written = recipe.model_dump(exclude_unset=True)

    def allowed(quantization: BaseQuantization) -> bool:
        try:
            Recipe.model_validate({**written, "model": {**written.get("model", {}), "quantization": quantization}})
        except ValidationError:
            return False
        return True

    return tuple(filter(allowed, get_args(BaseQuantization)))


def _way(recipe: Recipe, dtype: Dtype, recomputes: bool) -> Way:
    return Way(dtype, recipe.model.quantization, recomputes, recipe.training.optim)


def _tokens(rows: Sequence[Example]) -> int:
    return sum(map(len, rows))
