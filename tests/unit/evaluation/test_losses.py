import math

import pytest

from luthier.core.errors import EvaluationError
from luthier.core.rows import RowLoss
from luthier.evaluation.losses import loss_columns, loss_difference, loss_interval, perplexity
from luthier.evaluation.statistics import figure_interval

ROWS = [RowLoss("a", 10.0, 10, 0), RowLoss("b", 20.0, 5, 0), RowLoss("c", 6.0, 3, 0)]


def test_loss_is_per_target_token_not_per_row():
    assert loss_interval(ROWS).value == pytest.approx(2.0)


def test_loss_interval_lies_between_the_rows():
    interval = loss_interval(ROWS)
    assert 1.0 <= interval.low < 2.0 < interval.high <= 4.0


def test_perplexity_is_the_exponential():
    loss = loss_interval(ROWS)
    found = figure_interval(loss_columns(ROWS), perplexity)
    assert (found.value, found.low, found.high) == pytest.approx(
        (math.exp(2.0), math.exp(loss.low), math.exp(loss.high)), rel=1e-3
    )


def test_difference_pairs_rows_by_id_in_any_order():
    better = [RowLoss(row.row_id, row.loss_sum - row.target_tokens, row.target_tokens, 0) for row in reversed(ROWS)]
    difference = loss_difference(better, ROWS)
    assert (difference.value, difference.low, difference.high) == pytest.approx((-1.0, -1.0, -1.0))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([RowLoss("a", 1.0, 1, 0), RowLoss("a", 1.0, 1, 0)], "twice"),
        ([RowLoss("a", 1.0, 1, 0), RowLoss("b", math.nan, 1, 0)], "1 of 2 rows is not a number, such as b"),
        ([RowLoss("a", 0.0, 0, 0)], "no target tokens, such as a"),
    ],
)
def test_losses_that_cannot_be_averaged_are_refused(rows, message):
    with pytest.raises(EvaluationError, match=message):
        loss_interval(rows)


def test_rows_of_one_model_only_are_refused():
    with pytest.raises(EvaluationError, match="1 rows were scored for one model only, such as c"):
        loss_difference(ROWS, ROWS[:2])


def test_rows_of_other_tokens_are_refused():
    with pytest.raises(EvaluationError, match="such as c"):
        loss_difference(ROWS, [*ROWS[:2], RowLoss("c", 6.0, 4, 0)])
