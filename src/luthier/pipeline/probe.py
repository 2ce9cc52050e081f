"""A few real steps of a training, to learn how fast it is and how much memory it takes here. Nothing of it is kept."""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from luthier.core.artefacts import Dataset
from luthier.kernels.allocator import release_free_pages
from luthier.models.recompute import recomputes
from luthier.pipeline.base import Base
from luthier.pipeline.project import Project
from luthier.pipeline.train import set_up
from luthier.planning import MOMENT_BYTES, Around, Range, measured_speed
from luthier.training import Checkpoint, Ranks, Training, TrainingState, fit
from luthier.training.objective import Example

STEPS = 6
"""Optimiser steps that are run."""
WARM_UP = 2
"""So many of them, the first, do not count: pages of the base weights' file come in, memory grows to what the largest
forward pass takes, kernels are compiled. A training does that once, not at every step."""
SECONDS = 120
"""After so many no further step is begun, if two have been timed."""
LARGEST_CHECKPOINT = 2 * 10**9
"""Bytes of trained weights up to which writing a checkpoint is tried."""
WEIGHT_BYTES = 4
"""Of a weight in a checkpoint, where its moments lie beside it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a few steps told. `process_bytes` are what the process took before it loaded the model, `set_up_bytes` at
    most while it loaded and checked it, `steps_bytes` at most in the steps. Of what setting up takes once
    (`around.setup_seconds`), the checks took `check_seconds`."""

    training: Training[Any]
    model: Any
    recomputes: bool
    tokens_per_second: Range
    steps: int
    process_bytes: int
    set_up_bytes: int
    steps_bytes: int
    around: Around
    check_seconds: float


class _Enough(Exception):
    pass


@dataclass(frozen=True, slots=True)
class _Done:
    """What is behind a step: tokens, seconds in steps alone, and all seconds, validation and checkpoints included."""

    tokens: int = 0
    loop: float = 0.0
    wall: float = 0.0


def probe(project: Project, base: Base, dataset: Dataset) -> Probe:
    """Set a training up as `luthier train` does and run some of its steps, its largest forward pass among them. Raises
    as `train` does."""
    release_free_pages()
    before = psutil.Process().memory_info().rss
    begin = time.monotonic()
    with _peak_memory() as set_up_peak:
        prepared = set_up(project, base, dataset, Ranks(), checks=True)
    set_up_seconds = time.monotonic() - begin
    release_free_pages()
    with _peak_memory() as peak:
        speeds, around = _time_steps(project, prepared.training)
    around = replace(around, setup_seconds=set_up_seconds)
    speed = measured_speed(speeds[WARM_UP:] or speeds[-1:])
    return Probe(
        prepared.training,
        prepared.model,
        recomputes(prepared.model),
        speed,
        len(speeds),
        process_bytes=before,
        set_up_bytes=set_up_peak[0],
        steps_bytes=peak[0],
        around=around,
        check_seconds=prepared.check_seconds,
    )


def _time_steps(project: Project, training: Training[Any]) -> tuple[list[float], Around]:
    """Tokens per second of single steps, and what validation and checkpoints take."""
    steps = _chosen(training)
    sample = _sample(training.validation_examples, sum(map(_tokens, steps[0])))
    settings = training.settings.model_copy(update={"eval_steps": len(steps), "load_best_model_at_end": False})
    short = replace(
        training, schedule=replace(training.schedule, steps=steps), settings=settings, validation_examples=sample
    )
    trained = sum(parameter.numel() for parameter in training.parameters.values())
    begin, done = time.monotonic(), [_Done()]

    def on_step(state: TrainingState) -> None:
        done.append(_Done(state.tokens, state.loop_seconds, time.monotonic() - begin))
        enough = done[-1].wall > SECONDS and len(done) > WARM_UP + 2
        project.reporter.progress("timing a few steps", len(steps) if enough else len(done) - 1, len(steps))
        if enough and len(done) <= len(steps):
            raise _Enough

    checkpoint_bytes = WEIGHT_BYTES + MOMENT_BYTES[training.settings.optim]
    writes = trained * checkpoint_bytes <= LARGEST_CHECKPOINT
    with tempfile.TemporaryDirectory(dir=project.workspace.state, prefix="probe-") as folder:
        try:
            fit(short, Checkpoint(Path(folder), writes=writes), False, on_step)
        except _Enough:
            sample = []
    # At first the weights are written twice; at a validation once alone and once with the optimiser's moments.
    written = max(0.0, done[1].wall - done[1].loop) / 2
    saving = checkpoint_bytes / WEIGHT_BYTES * written
    validating = done[-1].wall - done[-2].wall - (done[-1].loop - done[-2].loop) - saving - written
    around = Around(
        validation_tokens_per_second=_tokens(sample) / validating if sample and validating > 0 else None,
        save_seconds=saving,
        seconds_between_saves=training.settings.save_seconds,
    )
    pairs = pairwise(done)
    return [(later.tokens - earlier.tokens) / (later.loop - earlier.loop) for earlier, later in pairs], around


def _chosen(training: Training[Any]) -> tuple[Any, ...]:
    """The step with the largest forward pass, then some from all over the training."""
    steps = training.schedule.steps
    spread = [steps[place * len(steps) // (STEPS - 1)] for place in range(min(STEPS - 1, len(steps)))]
    return (max(steps, key=lambda step: max(map(_tokens, step))), *spread)


def _sample(examples: Sequence[Any], tokens: int) -> list[Any]:
    """The first of them, as many as have about so many tokens."""
    chosen: list[Any] = []
    for example in examples:
        if _tokens(chosen) >= tokens:
            break
        chosen.append(example)
    return chosen


def _tokens(rows: Sequence[Example]) -> int:
    return sum(map(len, rows))


@contextmanager
def _peak_memory(every: float = 0.005) -> Iterator[list[int]]:
    """Inside, the process is watched; afterwards the one number says how many bytes it took at most."""
    process, stop = psutil.Process(), threading.Event()
    peak = [process.memory_info().rss]

    def watch() -> None:
        while not stop.wait(every):
            peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()
