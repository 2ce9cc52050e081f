"""Values for the recipe that fit model, rows and memory, each with its reason."""

import math
from dataclasses import dataclass, replace

from luthier.core.recipe import AdapterSection, Method, TrainingSection
from luthier.planning.choices import fits
from luthier.planning.setup import Setup
from luthier.planning.sufficiency import MAX_USEFUL_EPOCHS, MIN_ROW_READINGS
from luthier.planning.trained import trained_by
from luthier.planning.workload import Workload

RANKS = (8, 16, 32, 64, 128)
LEAST_RANK = 16
RATE, RATE_HIDDEN = 5e-4, 2000
RATE_POWERS = {"qwen": 0.0775, "llama": 0.781}
"""LoRA's best learning rate is RATE (RATE_HIDDEN / hidden size) ^ power, fitted on families of models, and that of all
weights a tenth of it; an adapter holds what it should learn as long as it has a weight for each target token (Schulman
et al. 2025, LoRA Without Regret)."""
STEPS_WANTED = 300
"""Optimiser steps that a training should have at least, so that the schedule has time to act."""
LARGEST_STEP = 16_384
"""Tokens of an optimiser step beyond which LoRA learns less from each row (the same, section on batch sizes)."""
USUAL_EPOCHS = 3
VALIDATIONS = 12
LARGE_CORPUS = 10_000_000
"""Tokens of plain text from which an adapter falls behind full fine-tuning (Biderman et al. 2024, LoRA Learns Less and
Forgets Less)."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A field of the recipe, what it should be, what it is, and why."""

    field: str
    value: str | int | float
    now: str | int | float
    reason: str

    def to_json(self) -> dict[str, object]:
        return {"field": self.field, "value": self.value, "now": self.now, "reason": self.reason}


def propose(
    setup: Setup, workload: Workload, adapter: AdapterSection, training: TrainingSection, free: int, factor: float = 1.0
) -> list[Proposal]:
    """Method, rank, learning rate, epochs, batch and how often to validate: of each field, what it should be."""
    method, why = _method(setup, workload, adapter, free, factor)
    proposals = [Proposal("adapter.method", method, adapter.method, why)]
    if method == "lora":
        proposals.append(_rank(setup, workload, adapter))
    proposals.append(_learning_rate(setup, method, training))
    epochs = _epochs(workload, training)
    proposals += [epochs, *_batch(setup, workload, training, int(epochs.value), free, factor)]
    return proposals


def _method(setup: Setup, workload: Workload, adapter: AdapterSection, free: int, factor: float) -> tuple[Method, str]:
    whole = replace(setup, trained=trained_by(setup.shape, AdapterSection(method="full")), r=0)
    everything = workload.target_tokens >= 0.9 * workload.tokens
    if everything and workload.target_tokens >= LARGE_CORPUS:
        if fits(whole, free, factor):
            return "full", "so much plain text is more than an adapter takes up, and all weights fit into memory"
        return "lora", "all weights would take up more of so much text, but do not fit into memory"
    if adapter.method != "lora":
        return adapter.method, "as the recipe says; LoRA would learn as much from so few tokens, in less memory"
    return "lora", "so few tokens are learnt as well as with all weights, faster, in less memory, and less is forgotten"


def _rank(setup: Setup, workload: Workload, adapter: AdapterSection) -> Proposal:
    each = trained_by(setup.shape, AdapterSection(r=1)).parameters
    rank = next((r for r in RANKS if r >= LEAST_RANK and r * each >= workload.target_tokens), RANKS[-1])
    reason = f"its {rank * each:,} weights are to hold {workload.target_tokens:,} target tokens: one for each is enough"
    return Proposal("adapter.r", rank, adapter.r if adapter.method == "lora" else 0, reason)


def _learning_rate(setup: Setup, method: Method, training: TrainingSection) -> Proposal:
    hidden = setup.shape.hidden_size
    power = RATE_POWERS["qwen" if setup.shape.model_type.startswith("qwen") else "llama"]
    rate = RATE * (RATE_HIDDEN / hidden) ** power
    reason = f"of LoRA at hidden size {hidden:,}; luthier check tells whether a step is too large"
    if method == "ia3":
        rate, reason = 3e-3, "as in the paper on IA3 (Liu et al. 2022)"
    elif method != "lora":
        rate, reason = rate / 10, f"a tenth of LoRA's at hidden size {hidden:,}, because the weights themselves move"
    return Proposal("training.learning_rate", _two_digits(rate), training.learning_rate, reason)


def _epochs(workload: Workload, training: TrainingSection) -> Proposal:
    epochs = min(MAX_USEFUL_EPOCHS, max(USUAL_EPOCHS, math.ceil(MIN_ROW_READINGS / workload.rows)))
    reason = "repeats teach almost as much as new rows up to four times"
    if epochs > USUAL_EPOCHS:
        reason = f"few rows need repeats: {MIN_ROW_READINGS:,} readings in all, at most {MAX_USEFUL_EPOCHS} of each"
    return Proposal("training.num_train_epochs", epochs, training.num_train_epochs, reason)


def _batch(
    setup: Setup, workload: Workload, training: TrainingSection, epochs: int, free: int, factor: float
) -> list[Proposal]:
    """Tokens of a step by the number of steps that they leave, dealt into forward passes that fit."""
    now = training.per_device_train_batch_size * training.gradient_accumulation_steps
    pack = max(1, setup.forward.tokens // training.per_device_train_batch_size)
    wanted = min(LARGEST_STEP, workload.tokens * epochs / STEPS_WANTED)
    packs = max(1, 2 ** round(math.log2(max(1.0, wanted / pack))))
    at_once = packs
    while at_once > 1 and not fits(replace(setup, forward=setup.forward.scaled(at_once * pack)), free, factor):
        at_once //= 2
    steps = math.ceil(workload.tokens * epochs / (packs * pack))
    each = "packs" if training.packing else "rows"
    reason = f"{packs} {each} a step, so that there are {steps:,} steps; now {now}"
    every = max(5, 5 * round(steps / VALIDATIONS / 5))
    fields: list[tuple[str, int, int, str]] = [
        ("per_device_train_batch_size", at_once, training.per_device_train_batch_size, reason),
        (
            "gradient_accumulation_steps",
            packs // at_once,
            training.gradient_accumulation_steps,
            "forward passes of what fits into memory" if packs > at_once else "all of a step fits into memory at once",
        ),
        ("eval_steps", every, training.eval_steps, f"about {VALIDATIONS} validations are enough to see where to stop"),
    ]
    return [Proposal(f"training.{name}", value, now_is, why) for name, value, now_is, why in fields]


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")
