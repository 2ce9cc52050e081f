"""Cross-entropy and perplexity of held-out rows, alone and of two models on the same rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from luthier.core.errors import EvaluationError
from luthier.evaluation.statistics import Interval, ratio_interval


@dataclass(frozen=True, slots=True)
class RowLoss:
    """Cross-entropy of one row in nats, summed over its target tokens."""

    row_id: str
    loss_sum: float
    target_tokens: int


def loss_interval(rows: Sequence[RowLoss]) -> Interval:
    """Cross-entropy in nats per target token; the interval draws rows again.

    Raises EvaluationError where there is no row, a loss is not finite, a row has no target or stands twice.
    """
    _check(rows)
    return ratio_interval([row.loss_sum for row in rows], [row.target_tokens for row in rows])


def perplexity(loss: Interval) -> Interval:
    """exp of a cross-entropy in nats per token, and of the ends of its interval."""
    return Interval(math.exp(loss.value), math.exp(loss.low), math.exp(loss.high))


def loss_difference(candidate: Sequence[RowLoss], reference: Sequence[RowLoss]) -> Interval:
    """Cross-entropy of the candidate less that of the reference, nats per target token; below 0 is better.

    Rows are paired by id, in any order. Raises EvaluationError where the two did not score the same targets.
    """
    _check(candidate)
    _check(reference)
    others = {row.row_id: row for row in reference}
    unpaired = others.keys() ^ {row.row_id for row in candidate}
    if unpaired:
        raise EvaluationError(
            f"{len(unpaired)} rows were scored for one model only, such as {min(unpaired)}",
            allowed="both models on the same rows",
        )
    unequal = [row.row_id for row in candidate if row.target_tokens != others[row.row_id].target_tokens]
    if unequal:
        raise EvaluationError(
            f"{len(unequal)} rows have another number of target tokens for each model, such as {min(unequal)}",
            allowed="models with the same tokenizer and template",
        )
    return ratio_interval(
        [row.loss_sum - others[row.row_id].loss_sum for row in candidate], [row.target_tokens for row in candidate]
    )


def _check(rows: Sequence[RowLoss]) -> None:
    if not rows:
        raise EvaluationError("no rows to score", allowed="a validation or test split with at least one row")
    if len({row.row_id for row in rows}) < len(rows):
        raise EvaluationError("a row was scored twice")
    broken = [row.row_id for row in rows if not math.isfinite(row.loss_sum)]
    if broken:
        raise EvaluationError(f"the loss of {len(broken)} of {len(rows)} rows is not a number, such as {broken[0]}")
    empty = [row.row_id for row in rows if row.target_tokens < 1]
    if empty:
        raise EvaluationError(f"{len(empty)} rows have no target tokens, such as {empty[0]}")
