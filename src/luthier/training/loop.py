"""The training loop. Methods differ only in which parameters train; this file does not know them."""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic

import torch
from torch import nn

from luthier.core.errors import TrainingError
from luthier.core.recipe import TrainingSection
from luthier.kernels.allocator import release_free_pages
from luthier.models.sharding import whole
from luthier.training.adamw_8bit import AdamW8bit
from luthier.training.checkpoint import Checkpoint
from luthier.training.gradients import norms_by_layer
from luthier.training.interrupts import interrupts_held_back
from luthier.training.l2_sp import StartPenalty
from luthier.training.loss_scale import FIRST_SCALE, adapt_scale, unscale
from luthier.training.master import MasterWeights
from luthier.training.objective import E, Objective
from luthier.training.ranks import Ranks
from luthier.training.schedule import Schedule, Step
from luthier.training.spikes import WINDOW, is_spike
from luthier.training.state import TrainingState

ADAM_BETAS = (0.9, 0.99)
MOST_SKIPPED_IN_A_ROW = 10
MOST_ROLLBACKS = 3
RELEASE_STEPS = 16
"""Steps after which free memory is given back. Each costs pages that are soon taken again: in 30 steps of a 135M model
the process grew to 3.8 GB without it; with it every 8, 4 and 1 steps to 3.4, 2.7 and 1.3 GB, 2, 5 and 15 % slower."""

OnStep = Callable[[TrainingState], None]


@dataclass(frozen=True, slots=True)
class Training(Generic[E]):
    """What a training is made of, all of it decided beforehand."""

    objective: Objective[E]
    weights: MasterWeights
    schedule: Schedule[E]
    validation_examples: Sequence[E]
    settings: TrainingSection
    learning_rate_ratios: Mapping[str, float] = field(default_factory=dict)
    """By parameter: how many times the schedule's learning rate it gets, where that is not once."""
    ranks: Ranks = field(default_factory=Ranks)
    """The processes that train together; each has the same training."""
    most_tokens: int = 0
    """Of a forward pass, where an objective deals the examples of a step out anew; at least what the largest has."""
    penalty: StartPenalty | None = None
    """What a step away from the start costs beside the objective's loss, which the curves show alone."""
    scales_loss: bool = False
    """Whether the backward pass is of a multiple of the loss, as float16 needs it; the curves show the loss itself."""

    @property
    def parameters(self) -> Mapping[str, nn.Parameter]:
        """What the optimiser changes, by name."""
        return self.weights.parameters


def fit(training: Training[E], checkpoint: Checkpoint, resume: bool, on_step: OnStep) -> TrainingState:
    """Train, and leave the weights of the best validation loss (or the last, as the settings say) in the parameters.

    A checkpoint is written at the start, every `save_seconds`, before every validation and when interrupted.
    """
    settings, schedule = training.settings, training.schedule
    optimizer = new_optimizer(training)
    if resume:
        state = checkpoint.load(training.parameters, optimizer)
        training.weights.publish()
    else:
        state = TrainingState(loss_scale=FIRST_SCALE if training.scales_loss else 1.0)
        checkpoint.save(state, training.parameters, optimizer)
        checkpoint.save_best(training.parameters)
        checkpoint.keep_good()

    def save() -> float:
        checkpoint.save(state, training.parameters, optimizer)
        return time.monotonic()

    saved = time.monotonic()
    try:
        while not _is_finished(state, training):
            if not _validation_is_due(state, training):  # it is after a resume, where training was killed in it
                begin = time.monotonic()
                set_learning_rate(optimizer, schedule.learning_rate_at(state.step))
                _step(training, optimizer, schedule.steps[state.step], state, checkpoint)
                if state.step % RELEASE_STEPS == 0:
                    release_free_pages()
                state.loop_seconds += time.monotonic() - begin
            if _validation_is_due(state, training):
                saved = save()
                figures = training.ranks.agree(training.objective.validation(training.validation_examples))
                with interrupts_held_back():
                    if _note_validation(state, figures, settings.early_stopping_patience):
                        checkpoint.save_best(training.parameters)
                    if state.spikes_in_a_row == 0:
                        checkpoint.keep_good()
            if training.ranks.agree(time.monotonic() - saved > settings.save_seconds):
                saved = save()
            on_step(state)
    except KeyboardInterrupt:
        if not training.weights.sharded:  # parts of other processes cannot be had when they stop anywhere
            save()
        raise
    training.ranks.wait()
    if settings.load_best_model_at_end:
        checkpoint.load_best(training.parameters)
        training.weights.publish()
    return state


def new_optimizer(training: Training[E]) -> torch.optim.Optimizer:
    """AdamW with a group of parameters for each learning rate; `training.optim` says how its moments are kept."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in training.parameters.items():
        groups.setdefault(training.learning_rate_ratios.get(name, 1.0), []).append(parameter)
    described = [{"params": members, "ratio": ratio} for ratio, members in groups.items()]
    decay = training.settings.weight_decay
    if training.settings.optim == "adamw_8bit":
        return AdamW8bit(described, ADAM_BETAS, decay)
    return torch.optim.AdamW(described, betas=ADAM_BETAS, weight_decay=decay, fused=True)


def _step(
    training: Training[E],
    optimizer: torch.optim.Optimizer,
    batches: Step[E],
    state: TrainingState,
    checkpoint: Checkpoint,
) -> None:
    """One optimiser step: the gradients of its micro-batches add up to that of the objective's loss of the step."""
    optimizer.zero_grad(set_to_none=True)
    examples = [example for batch in batches for example in batch]
    total = 0.0
    for loss in _parts(training, examples, batches):
        (loss * state.loss_scale).backward()
        total += loss.item()
    total = training.ranks.sum(total)
    training.ranks.sum_gradients(training.parameters.values())
    unscale(training.parameters.values(), state.loss_scale)
    penalty = {"l2_sp": training.penalty.add_gradients()} if training.penalty else {}
    gradients = {name: parameter.grad for name, parameter in training.parameters.items()}
    by_layer = norms_by_layer(gradients) if _ends_with_validation(state.step + 1, training) else {}
    norm = float(whole(nn.utils.clip_grad_norm_(training.parameters.values(), training.settings.max_grad_norm)))
    finite = math.isfinite(norm) and math.isfinite(total)
    with interrupts_held_back():
        if training.scales_loss:
            adapt_scale(state, finite)
        if by_layer and finite:
            state.gradient_curve.append({"step": state.step + 1, **by_layer})
        if not finite:
            _count_skipped(state)
        elif is_spike([point["loss"] for point in state.train_curve[-WINDOW:]], total):
            if _count_spike(state):
                checkpoint.load_good(training.parameters, optimizer)
                training.weights.publish()
        else:
            optimizer.step()
            training.weights.publish()
            state.spikes_in_a_row = 0
            point = {"step": state.step + 1, "loss": total, "gradient_norm": norm}
            rate = training.schedule.learning_rate_at(state.step)
            state.train_curve.append(point | {"learning_rate": rate} | penalty)
        state.step += 1
        state.tokens += sum(map(len, examples))
        state.target_tokens += sum(example.target_tokens for example in examples)


def _parts(training: Training[E], examples: Sequence[E], batches: Step[E]) -> Iterator[torch.Tensor]:
    """What this process adds to the loss of a step, in differentiable parts. Where weights lie in shards, all processes
    make as many passes: one that has none left when others have makes another one's once more, for nothing."""
    own = training.ranks.share(batches)
    if not training.weights.sharded or len(own) * training.ranks.size >= len(batches):
        yield from training.objective.parts(examples, own, training.most_tokens)
        return
    # Under shards no prefix is shared, so that each batch is one part.
    for number, loss in enumerate(training.objective.parts(examples, [*own, batches[0]], training.most_tokens)):
        yield loss if number < len(own) else loss * 0


def _count_skipped(state: TrainingState) -> None:
    """A step whose loss or gradient is not finite changes no weight; many in a row mean that training diverged, or that
    float16 is too narrow for the model however little the loss is multiplied by."""
    state.skipped_steps += 1
    last = state.train_curve[-1]["step"] if state.train_curve else 0
    in_a_row = int(state.step + 1 - last)
    if in_a_row >= MOST_SKIPPED_IN_A_ROW and state.loss_scale <= 1:
        raise TrainingError(
            f"{in_a_row} steps in a row had no finite loss or gradient",
            where=f"step {state.step + 1}",
            allowed="lower training.learning_rate, or set model.dtype: bfloat16 or float32 where it is float16",
        )


def _count_spike(state: TrainingState) -> bool:
    """A step whose loss is a spike changes no weight: its rows may be to blame. If the next one is a spike as well, the
    weights are: whether those of the last validation have to come back."""
    state.spiked_steps += 1
    state.spikes_in_a_row += 1
    if state.spikes_in_a_row < 2:
        return False
    if state.rollbacks == MOST_ROLLBACKS:
        raise TrainingError(
            f"the loss spiked again after {MOST_ROLLBACKS} returns to earlier weights",
            where=f"step {state.step + 1}",
            allowed="lower training.learning_rate, or look for rows unlike all others",
        )
    state.rollbacks += 1
    state.spikes_in_a_row = 0
    return True


def _is_finished(state: TrainingState, training: Training[E]) -> bool:
    last = state.step == len(training.schedule.steps) and not _validation_is_due(state, training)
    return last or state.stopped_early


def _validation_is_due(state: TrainingState, training: Training[E]) -> bool:
    """Whether this step ends with a validation that has not been made yet."""
    return state.validated_step < state.step and _ends_with_validation(state.step, training)


def _ends_with_validation(step: int, training: Training[E]) -> bool:
    return step == len(training.schedule.steps) or step % training.settings.eval_steps == 0


def _note_validation(state: TrainingState, figures: Mapping[str, float] | None, patience: int | None) -> bool:
    """Enter a validation into the state; whether it is the best so far. Where none can be made, the last one is."""
    state.validated_step = state.step
    if figures is None:
        state.best_step = state.step
        return True
    loss = figures["loss"]
    state.validation_curve.append({"step": state.step, **figures})
    if math.isfinite(loss) and (state.best_loss is None or loss < state.best_loss):
        state.best_loss, state.best_step, state.validations_since_best = loss, state.step, 0
        return True
    state.validations_since_best += 1
    state.stopped_early = patience is not None and state.validations_since_best >= patience
    return False


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate * group["ratio"]
