"""Pairs of held-out answers: which one does a model find likelier?"""

from collections.abc import Sequence
from dataclasses import dataclass

from luthier.core.rows import RowLoss


@dataclass(frozen=True, slots=True)
class PreferenceScore:
    """The mean log-likelihood in nats of a token of the answer that people chose, and of the one they rejected: sums
    would find the shorter answer likelier."""

    row_id: str
    chosen: float
    rejected: float

    @property
    def right(self) -> bool:
        return self.chosen > self.rejected


def score_preferences(chosen: Sequence[RowLoss], rejected: Sequence[RowLoss]) -> list[PreferenceScore]:
    """The losses of pairs, pair by pair; each answer has a target."""
    return [
        PreferenceScore(one.row_id, -one.loss_sum / one.target_tokens, -other.loss_sum / other.target_tokens)
        for one, other in zip(chosen, rejected, strict=True)
    ]
