"""What the loop minimises: the loop knows examples and this interface, no task."""

from collections.abc import Sequence
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
    """A loss over examples. A step's loss is the sum of `loss_sum` over its micro-batches divided by their `weight`."""

    @property
    def fast_path(self) -> str:
        """ "on", or "off: " and the reason."""
        ...

    def weight(self, examples: Sequence[E_contra]) -> int:
        """What the loss is a mean over: target tokens, rows or pairs."""
        ...

    def loss_sum(self, examples: Sequence[E_contra]) -> torch.Tensor:
        """The loss summed over the same, a differentiable scalar."""
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

    def weight(self, examples: Sequence[TokenRow]) -> int:
        return sum(row.target_tokens for row in examples)

    def loss_sum(self, examples: Sequence[TokenRow]) -> torch.Tensor:
        return self._loss.loss_sum(FlatBatch.of(examples))

    def validation(self, examples: Sequence[TokenRow]) -> dict[str, float] | None:
        losses = self._loss.row_losses(examples)
        target_tokens = sum(row.target_tokens for row in losses)
        return {"loss": sum(row.loss_sum for row in losses) / target_tokens} if target_tokens else None
