"""Counters and curves of a training in progress; plain values only, since checkpoints hold them as JSON."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class TrainingState:
    """`step` optimiser steps are done. Curves are lists of {"step", "loss", ...}; losses in nats per target token."""

    step: int = 0
    tokens: int = 0
    target_tokens: int = 0
    loop_seconds: float = 0.0
    """Time in steps alone: validation and saving left out."""
    loss_scale: float = 1.0
    """What the loss is multiplied by before the backward pass; steps since it last changed."""
    steps_at_scale: int = 0
    skipped_steps: int = 0
    spiked_steps: int = 0
    spikes_in_a_row: int = 0
    rollbacks: int = 0
    validated_step: int = 0
    best_step: int = 0
    best_loss: float | None = None
    validations_since_best: int = 0
    stopped_early: bool = False
    train_curve: list[dict[str, float]] = field(default_factory=list)
    validation_curve: list[dict[str, float]] = field(default_factory=list)
    gradient_curve: list[dict[str, float]] = field(default_factory=list)
    """{"step", "layer 0", …}: norms of the gradients before clipping, at the last step before each validation;
    left out where they are not finite."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.loop_seconds if self.loop_seconds else 0.0
