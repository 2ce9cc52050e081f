"""What happens at each optimiser step: which rows, and which learning rate."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias

from luthier.core.recipe import TrainingSection
from luthier.training.objective import E, Example
from luthier.training.packing import pack

PACK_TOKENS = 1024

Step: TypeAlias = tuple[tuple[E, ...], ...]
"""The examples of each forward pass (micro-batch) of one optimiser step."""


@dataclass(frozen=True, slots=True)
class Schedule(Generic[E]):
    """All optimiser steps of a training: a function of rows, settings and seed alone, so that a resume repeats it."""

    steps: tuple[Step[E], ...]
    steps_per_epoch: int
    learning_rate: float
    warmup_steps: int

    @classmethod
    def of(
        cls,
        rows: Sequence[E],
        settings: TrainingSection,
        capacity: int,
        ranks: int = 1,
        replay: Sequence[E] = (),
        at_epoch: Callable[[E, int], E] = lambda row, _: row,
    ) -> "Schedule[E]":
        """`capacity` is the size of a pack in tokens; no row may be longer. With several `ranks` a step has so many
        times the micro-batches. Of `replay` each epoch takes the share of its rows that the settings name. `at_epoch`
        says what a row is in an epoch, counted from 0."""
        general = list(replay)
        random.Random(f"{settings.seed}/replay").shuffle(general)
        share = settings.replay.share if settings.replay and general else 0.0
        count = round(len(rows) * share / (1 - share))
        steps: list[Step[E]] = []
        for epoch in range(settings.num_train_epochs):
            mixed_in = [general[(epoch * count + place) % len(general)] for place in range(count)]
            read = [at_epoch(row, epoch) for row in [*rows, *mixed_in]]
            steps += _epoch(read, settings, capacity, ranks, random.Random(f"{settings.seed}/{epoch}"))
        warmup = max(1, round(settings.warmup_ratio * len(steps)))
        return cls(tuple(steps), len(steps) // settings.num_train_epochs, settings.learning_rate, warmup)

    def split(self, tokens: int) -> "Schedule[E]":
        """The same steps in smaller micro-batches: of at most so many tokens, if not of one example."""
        steps = tuple(tuple(part for batch in step for part in _parts(batch, tokens)) for step in self.steps)
        return replace(self, steps=steps)

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up to the peak, then half a cosine down towards zero at the end. Steps count from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        rest = (step - self.warmup_steps) / max(1, len(self.steps) - self.warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * rest))

    @property
    def tokens(self) -> int:
        return sum(len(row) for step in self.steps for batch in step for row in batch)


def _parts(batch: tuple[E, ...], tokens: int) -> list[tuple[E, ...]]:
    """Neighbours together as long as they have no more than so many tokens."""
    parts: list[list[E]] = []
    room = 0
    for example in batch:
        if not parts or len(example) > room:
            parts.append([])
            room = tokens
        parts[-1].append(example)
        room -= len(example)
    return list(map(tuple, parts))


def _epoch(
    rows: Sequence[E], settings: TrainingSection, capacity: int, ranks: int, order: random.Random
) -> list[Step[E]]:
    """The steps of one epoch: rows shuffled, packed, packs shuffled, dealt into micro-batches and steps."""
    shuffled = list(rows)
    order.shuffle(shuffled)
    if settings.packing:
        packs = [tuple(shuffled[row] for row in rows) for rows in pack([len(row) for row in shuffled], capacity)]
        order.shuffle(packs)
    else:
        packs = [(row,) for row in shuffled]
    size = settings.per_device_train_batch_size
    batches = [
        tuple(row for pack_ in packs[start : start + size] for row in pack_) for start in range(0, len(packs), size)
    ]
    accumulate = settings.gradient_accumulation_steps * ranks
    return [tuple(batches[start : start + accumulate]) for start in range(0, len(batches), accumulate)]


def pack_capacity(rows: Sequence[Example], max_length: int) -> int:
    """The size of a pack in tokens: PACK_TOKENS or `max_length`, whichever is less, but enough for the longest row."""
    return max([min(PACK_TOKENS, max_length), *(len(row) for row in rows)])
