"""Cross-entropy of held-out rows, alone and of two models on the same rows."""

import math
from collections.abc import Sequence

import numpy as np

from luthier.core.errors import EvaluationError
from luthier.core.rows import RowLoss
from luthier.evaluation.statistics import (
    Interval,
    Numbers,
    figure_interval,
    paired_figure_difference,
    ratio,
)


def loss_columns(rows: Sequence[RowLoss]) -> Numbers:
    """Loss and target tokens of each row, shape [rows, 2], in the order of the ids, so that two models pair.

    Raises EvaluationError where there is no row, a loss is not finite, a row has no target or stands twice.
    """
    _check(rows)
    return np.array([(row.loss_sum, row.target_tokens) for row in sorted(rows, key=lambda row: row.row_id)])


def loss_interval(rows: Sequence[RowLoss]) -> Interval:
    """Cross-entropy in nats per target token; the interval draws rows again. Raises as `loss_columns` does."""
    return figure_interval(loss_columns(rows), ratio)


def perplexity(sums: Numbers) -> Numbers:
    """exp of the cross-entropy in nats per token, of summed `loss_columns`."""
    exponential: Numbers = np.exp(ratio(sums))
    return exponential


def loss_difference(candidate: Sequence[RowLoss], reference: Sequence[RowLoss]) -> Interval:
    """Cross-entropy of the candidate less that of the reference, nats per target token; below 0 is better.

    Rows are paired by id, in any order. Raises EvaluationError where the two did not score the same targets.
    """
    ours, theirs = loss_columns(candidate), loss_columns(reference)
    refuse_unpaired(candidate, reference)
    return paired_figure_difference(ours, theirs, ratio)


def refuse_broken(rows: Sequence[RowLoss], model: str) -> None:
    """Raise EvaluationError, which names the model, where a loss is not finite."""
    if broken := [row.row_id for row in rows if not math.isfinite(row.loss_sum)]:
        raise EvaluationError(
            f"the loss of {len(broken)} of {len(rows)} rows is not a number, such as {broken[0]}",
            where=model,
            allowed="a model whose training has not diverged",
        )


def refuse_unpaired(candidate: Sequence[RowLoss], reference: Sequence[RowLoss]) -> None:
    """Raise EvaluationError unless both models scored the same targets of the same rows."""
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
