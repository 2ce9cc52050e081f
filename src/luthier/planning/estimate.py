"""The figures of a plan: memory, time, cost, data, and what to change."""

from dataclasses import dataclass, replace

from luthier.planning.choices import memory_advice
from luthier.planning.duration import Around, Range, Schedule, training_cost, training_seconds
from luthier.planning.memory import MemoryEstimate
from luthier.planning.setup import Setup
from luthier.planning.sufficiency import DataNeed

LONG_SECONDS = 3600
"""Expected time from which a shorter way is named."""

LARGE_VALIDATION_SHARE = 0.2
"""Share of the time from which validation is called out."""


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
    setup: Setup,
    schedule: Schedule,
    tokens_per_second: Range,
    machine: Machine,
    data: DataNeed,
    around: Around | None = None,
    factor: float = 1.0,
) -> PlanFigures:
    """Everything that a plan says of this machine, from sizes and a speed that a short probe measured or that was
    projected; `factor` is what the probe found of the memory that grows with the batch, relative to the calculation."""
    seconds = training_seconds(schedule, tokens_per_second, around)
    shorter = replace(schedule, num_train_epochs=max(1, schedule.num_train_epochs - 1))
    saved = seconds.expected - training_seconds(shorter, tokens_per_second, around).expected
    return PlanFigures(
        memory=setup.memory.corrected(factor),
        seconds=seconds,
        cost=training_cost(seconds, machine.price_per_hour),
        data=data,
        advice=(*memory_advice(setup, machine.memory_bytes, factor), *_time_advice(seconds, saved, schedule)),
    )


def _time_advice(seconds: Range, saved: float, schedule: Schedule) -> list[str]:
    """What would make it shorter; one epoch less saves `saved` seconds."""
    advice = []
    if seconds.expected > LONG_SECONDS and schedule.num_train_epochs > 1:
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
