"""The figures of a plan: memory, time, cost, data, and what to change."""

from dataclasses import dataclass

from luthier.core.recipe import Dtype
from luthier.core.sizes import gigabytes
from luthier.planning.duration import Range, Schedule, training_cost, training_seconds
from luthier.planning.memory import MemoryEstimate, ModelShape, estimate_memory
from luthier.planning.sufficiency import DataNeed

LONG_SECONDS = 3600
"""Expected time from which a shorter way is named."""

LARGE_VALIDATION_SHARE = 0.2
"""Share of the time from which validation is called out."""


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """What is trained: `tokens_per_forward` and `logit_tokens` as in `estimate_memory`; `data` is whether the training
    rows suffice."""

    dtype: Dtype
    r: int
    trained_parameters: int
    tokens_per_forward: int
    logit_tokens: int
    data: DataNeed


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
    shape: ModelShape, setup: TrainingSetup, schedule: Schedule, tokens_per_second: Range, machine: Machine
) -> PlanFigures:
    """Everything that a plan says, from sizes and a speed that a short probe of the training loop measured."""
    memory = estimate_memory(
        shape, setup.dtype, setup.r, setup.trained_parameters, setup.tokens_per_forward, setup.logit_tokens
    )
    seconds = training_seconds(schedule, tokens_per_second)
    return PlanFigures(
        memory=memory,
        seconds=seconds,
        cost=training_cost(seconds, machine.price_per_hour),
        data=setup.data,
        advice=(*_memory_advice(memory, setup, machine), *_time_advice(seconds, schedule)),
    )


def _memory_advice(memory: MemoryEstimate, setup: TrainingSetup, machine: Machine) -> list[str]:
    need = f"Training needs about {gigabytes(memory.total)} of memory; {gigabytes(machine.memory_bytes)} are free"
    if memory.total <= machine.memory_bytes:
        return [f"{need}: it fits."]
    growing = memory.activations + memory.logits
    room = machine.memory_bytes - (memory.total - growing)
    tokens = max(0, setup.tokens_per_forward * room // growing) if growing else 0
    advice = [f"{need}: it does not fit."]
    if tokens:
        advice.append(
            f"It fits with at most {tokens:,} tokens in a forward pass instead of {setup.tokens_per_forward:,}: "
            "lower training.per_device_train_batch_size (and raise gradient_accumulation_steps) or data.max_length."
        )
    if setup.dtype == "float32":
        advice.append(
            f"With model.dtype bfloat16 the weights take {gigabytes(memory.weights // 2)} less: on a processor that "
            "multiplies it."
        )
    if not tokens:
        advice.append("No batch is small enough: take a smaller base model or a machine with more memory.")
    return advice


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
