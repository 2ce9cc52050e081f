"""The figures of a plan: memory, time, cost, data, and what to change."""

from dataclasses import dataclass, replace

from luthier.core.recipe import AdapterSection
from luthier.core.sizes import gigabytes
from luthier.planning.duration import Range, Schedule, training_cost, training_seconds
from luthier.planning.memory import ForwardPass, MemoryEstimate, Way, estimate_memory
from luthier.planning.shape import ModelShape
from luthier.planning.sufficiency import DataNeed
from luthier.planning.trained import Trained, trained_by

LONG_SECONDS = 3600
"""Expected time from which a shorter way is named."""

LARGE_VALIDATION_SHARE = 0.2
"""Share of the time from which validation is called out."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What is trained and how: `forward` is the largest forward pass, `r` the rank where an adapter has one."""

    shape: ModelShape
    trained: Trained
    way: Way
    forward: ForwardPass
    r: int = 0

    @property
    def memory(self) -> MemoryEstimate:
        return estimate_memory(self.shape, self.trained, self.way, self.forward, self.r)


@dataclass(frozen=True, slots=True)
class Machine:
    """Memory that is free for training, and the price of an hour in the user's currency."""

    memory_bytes: int
    price_per_hour: float = 0.0


@dataclass(frozen=True, slots=True)
class PlanFigures:
    memory: MemoryEstimate
    seconds: Range
    cost: Range
    data: DataNeed
    advice: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """What `luthier plan --json` prints."""
        return {
            "memory_bytes": self.memory.total,
            "memory": self.memory.to_json(),
            "seconds": self.seconds.to_json(),
            "cost": self.cost.to_json(),
            "advice": list(self.advice),
            "data": self.data.to_json(),
        }


def estimate(
    setup: Setup, schedule: Schedule, tokens_per_second: Range, machine: Machine, data: DataNeed
) -> PlanFigures:
    """Everything that a plan says, from sizes and a speed that a short probe of the training loop measured."""
    seconds = training_seconds(schedule, tokens_per_second)
    return PlanFigures(
        memory=setup.memory,
        seconds=seconds,
        cost=training_cost(seconds, machine.price_per_hour),
        data=data,
        advice=(*memory_advice(setup, machine.memory_bytes), *_time_advice(seconds, schedule)),
    )


def memory_advice(setup: Setup, free: int, factor: float = 1.0) -> list[str]:
    """Whether training fits into so many free bytes, and the choices that would make it fit, the cheapest first.

    `factor` is what a probe found of that which grows with the batch, relative to the calculation.
    """
    memory = setup.memory.corrected(factor)
    need = f"Training needs about {gigabytes(memory.total)} of memory; {gigabytes(free)} are free"
    if memory.total <= free:
        return [f"{need}: it fits."]
    alone = [text for text, changed in _lighter(setup, free, factor) if _fits(changed, free, factor)]
    return [f"{need}: it does not fit.", *(alone or [_all_together(setup, free, factor)])]


def _fits(setup: Setup, free: int, factor: float) -> bool:
    return setup.memory.corrected(factor).total <= free


def _lighter(setup: Setup, free: int, factor: float) -> list[tuple[str, Setup]]:
    """Ways to need less, each alone."""
    way, forward = setup.way, setup.forward
    choices: list[tuple[str, Setup]] = []
    if (tokens := _fitting_tokens(setup, free, factor)) >= forward.row_tokens:
        less = (
            f"It fits with at most {tokens:,} tokens in a forward pass instead of {forward.tokens:,}: lower "
            "training.per_device_train_batch_size (and raise gradient_accumulation_steps), or data.max_length."
        )
        choices.append((less, replace(setup, forward=forward.scaled(tokens))))
    if not way.recompute:
        again = replace(setup, way=replace(way, recompute=True))
        choices.append(("It fits with training.gradient_checkpointing: true, a third slower.", again))
    if way.dtype == "float32":
        narrow = replace(setup, way=replace(way, dtype="bfloat16"))
        choices.append(("It fits with model.dtype: bfloat16, on a processor that multiplies it.", narrow))
    if not way.int8 and setup.trained.beside:
        choices.append(("It fits with model.quantization: int8, slower.", replace(setup, way=replace(way, int8=True))))
    if not setup.trained.beside:
        adapter = trained_by(setup.shape, AdapterSection())
        choices.append(("It fits with adapter.method: lora.", replace(setup, trained=adapter, r=AdapterSection().r)))
    return choices


def _all_together(setup: Setup, free: int, factor: float) -> str:
    """What it takes where no choice alone is enough."""
    adapter = setup.trained if setup.trained.beside else trained_by(setup.shape, AdapterSection())
    least = replace(setup, way=Way("bfloat16", int8=True, recompute=True), trained=adapter)
    if (tokens := _fitting_tokens(least, free, factor)) >= setup.forward.row_tokens:
        return (
            "It fits with all of these together: adapter.method lora, model.dtype bfloat16, model.quantization int8, "
            f"training.gradient_checkpointing true, and at most {tokens:,} tokens in a forward pass."
        )
    return "No choice here makes it fit: take a smaller base model or a machine with more memory."


def _fitting_tokens(setup: Setup, free: int, factor: float) -> int:
    """Tokens of a forward pass that fit, at most as many as it has now."""
    low, high = 0, setup.forward.tokens
    while low < high:
        middle = (low + high + 1) // 2
        changed = replace(setup, forward=setup.forward.scaled(middle))
        low, high = (middle, high) if changed.memory.corrected(factor).total <= free else (low, middle - 1)
    return low


def _time_advice(seconds: Range, schedule: Schedule) -> list[str]:
    advice = []
    if seconds.expected > LONG_SECONDS and schedule.num_train_epochs > 1:
        saved = seconds.expected / schedule.num_train_epochs
        advice.append(
            f"Training takes about {seconds.expected / 3600:.1f} hours; each epoch less "
            f"(training.num_train_epochs) saves {saved / 3600:.1f}."
        )
    elif seconds.expected > LONG_SECONDS:
        advice.append(
            f"Training takes about {seconds.expected / 3600:.1f} hours in a single epoch; "
            "fewer rows, a smaller base model or a faster machine would shorten it."
        )
    work = schedule.training_tokens + schedule.validation_work
    share = schedule.validation_work / work if work else 0.0
    if share > LARGE_VALIDATION_SHARE:
        advice.append(
            f"Validation takes {share:.0%} of the time: raise training.eval_steps from {schedule.eval_steps}."
        )
    return advice
