"""How long a training takes and what it costs, from a measured speed."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

FORWARD_SPEEDUP = 2.0
"""Speed of validation over training: with frozen base weights a step is a forward pass (2 operations per parameter and
token) and the gradient of the activations (2 more); validation is the forward pass alone. Counting as in Kaplan et
al. 2020, Scaling Laws for Neural Language Models, section 2.1, less the gradient of the frozen weights."""


@dataclass(frozen=True, slots=True)
class Range:
    """An expected figure and the ends it should stay between; `low <= expected <= high`."""

    low: float
    expected: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.expected <= self.high:
            raise ValueError(f"{self} is not in order")

    def scaled(self, factor: float) -> "Range":
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def to_json(self) -> dict[str, float]:
        return {"low": self.low, "expected": self.expected, "high": self.high}


@dataclass(frozen=True, slots=True)
class Schedule:
    """What is run: tokens unpadded, `tokens_per_step` those of one optimiser step, accumulation included."""

    tokens_per_epoch: int
    num_train_epochs: int
    tokens_per_step: int
    validation_tokens: int
    eval_steps: int

    @property
    def steps(self) -> int:
        return self.num_train_epochs * math.ceil(self.tokens_per_epoch / self.tokens_per_step)

    @property
    def validations(self) -> int:
        """One every `eval_steps` steps, and one at the end."""
        return math.ceil(self.steps / self.eval_steps) if self.validation_tokens else 0

    @property
    def training_tokens(self) -> int:
        return self.tokens_per_epoch * self.num_train_epochs

    @property
    def validation_work(self) -> float:
        """All validations, in training tokens that take as long."""
        return self.validations * self.validation_tokens / FORWARD_SPEEDUP


def measured_speed(tokens_per_second: Sequence[float]) -> Range:
    """Range of a speed from one measurement an optimiser step: slowest, median, fastest.

    Leave the steps that warm up out. A whole training averages over its steps, but other load on the machine
    lasts, so the spread of single steps is kept. Raises ValueError where there is none or one is not above 0.
    """
    if not tokens_per_second or min(tokens_per_second) <= 0:
        raise ValueError("a speed needs at least one measurement, each above 0")
    return Range(min(tokens_per_second), statistics.median(tokens_per_second), max(tokens_per_second))


@dataclass(frozen=True, slots=True)
class Around:
    """What a training does beside its steps, as a probe measured it: loading and preparing, validating so many tokens a
    second, and writing a checkpoint every so many seconds."""

    setup_seconds: float = 0.0
    validation_tokens_per_second: float | None = None
    save_seconds: float = 0.0
    seconds_between_saves: float = 30.0


def training_seconds(schedule: Schedule, tokens_per_second: Range, around: Around | None = None) -> Range:
    """Wall seconds of a training with its validations; early stopping would shorten it, which is not counted on.

    Where no probe has timed validation it is taken to be `FORWARD_SPEEDUP` times as fast as training.
    """
    known = around or Around()

    def seconds(speed: float) -> float:
        validating = known.validation_tokens_per_second or FORWARD_SPEEDUP * speed
        loop = schedule.training_tokens / speed + schedule.validations * schedule.validation_tokens / validating
        saves = loop / known.seconds_between_saves + schedule.validations + 1
        return known.setup_seconds + loop + saves * known.save_seconds

    return Range(*map(seconds, (tokens_per_second.high, tokens_per_second.expected, tokens_per_second.low)))


def training_cost(seconds: Range, price_per_hour: float) -> Range:
    """Hours times price, in the currency of the price."""
    return seconds.scaled(price_per_hour / 3600)
