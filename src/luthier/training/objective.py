"""What the loop minimises: the loop knows examples and this interface, no task."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

import torch

from luthier.core.rows import TokenRow
from luthier.models.batch import FlatBatch
from luthier.models.losses import RowsLoss


class Example(Protocol):
    """What one training row has become: tokens to run through the model, some of them targets."""

    @property
    def id(self) -> str: ...

    @property
    def target_tokens(self) -> int: ...

    def __len__(self) -> int:
        """Tokens, unpadded."""
        ...


E = TypeVar("E", bound=Example)
"""The kind of example that an objective takes."""
E_contra = TypeVar("E_contra", bound=Example, contravariant=True)


class Objective(Protocol[E_contra]):
    """A loss over examples, in nats."""

    @property
    def fast_path(self) -> str:
        """ "on", or "off: " and the reason."""
        ...

    def step(self, examples: Sequence[E_contra]) -> Callable[[Sequence[E_contra]], torch.Tensor]:
        """The loss of an optimiser step on these examples, as a function of one of its micro-batches: a differentiable
        scalar. What it gives for all micro-batches, in whatever way the examples are dealt out, adds up to the loss."""
        ...

    def validation(self, examples: Sequence[E_contra]) -> dict[str, float] | None:
        """Mean `loss` of examples that nothing learns from, with other figures of the task; None where there is
        nothing to be right about."""
        ...


class CausalObjective:
    """Cross-entropy of each target token after those before it, in nats."""

    def __init__(self, loss: RowsLoss) -> None:
        self._loss = loss

    @property
    def fast_path(self) -> str:
        return self._loss.fast_path

    def step(self, examples: Sequence[TokenRow]) -> Callable[[Sequence[TokenRow]], torch.Tensor]:
        """The mean over the target tokens of the whole step."""
        target_tokens = sum(row.target_tokens for row in examples)
        return lambda batch: self._loss.loss_sum(FlatBatch.of(batch)) / target_tokens

    def validation(self, examples: Sequence[TokenRow]) -> dict[str, float] | None:
        losses = self._loss.row_losses(examples)
        target_tokens = sum(row.target_tokens for row in losses)
        return {"loss": sum(row.loss_sum for row in losses) / target_tokens} if target_tokens else None
