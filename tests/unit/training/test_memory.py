import dataclasses

import pytest
import torch
from torch import nn

from luthier.core.errors import TrainingError
from luthier.training import Checkpoint, fit, fit_memory, kept_bytes
from luthier.training.memory import MASTER_BYTES, SLACK


def test_what_a_forward_pass_keeps_is_counted_once(rows):
    class Doubling:
        """Keeps its input and the input of its exponential for the backward pass, besides its weight."""

        weight = nn.Parameter(torch.ones(1000))

        def step(self, _):
            return lambda batch: (torch.ones(len(batch[0]), 1000) * self.weight).exp().sum()

    objective, holder = Doubling(), nn.Module()
    holder.weight = objective.weight
    assert kept_bytes(objective, rows[0], holder) == 2 * 4 * 1000 * len(rows[0])


def test_longer_rows_keep_more(new_training, rows):
    training = new_training()
    model = training.objective._loss._model
    short, long = (
        kept_bytes(training.objective, next(row for row in rows if len(row) == length), model) for length in (7, 30)
    )
    assert 0 < 2 * short < long < 10 * short


def _fit(training, free, ways=(lambda kept, _: kept,), kept=100):
    return fit_memory(training.schedule, lambda example: kept * len(example), 10, ways, free)


def test_tokens_that_fit(new_training):
    training = new_training()
    fixed = 10 * MASTER_BYTES
    tokens, _ = _fit(training, fixed + int(100 * SLACK * 55))
    assert tokens == 55


def test_a_second_way_is_taken_where_the_first_does_not_fit(new_training):
    training = new_training()

    def half(kept, _):
        return kept // 2

    def all_of_it(kept, _):
        return kept

    free = 10 * MASTER_BYTES + int(100 * SLACK * 20)  # the longest row has 30 tokens
    assert _fit(training, free, (all_of_it, half)) == (40, half)
    with pytest.raises(TrainingError, match=r"^data\.max_length: the longest row, 30 tokens, .* \(about 20 tokens, or"):
        _fit(training, free, (all_of_it,))
    with pytest.raises(TrainingError, match=r"0\.0 GB are free \(a method that trains fewer weights"):
        _fit(training, 10)


def test_the_longest_row_is_not_tried_where_it_surely_does_not_fit(new_training):
    tried = []
    with pytest.raises(TrainingError):
        fit_memory(
            new_training().schedule, lambda row: tried.append(len(row)) or 10**9, 10, [lambda kept, _: kept], 10**9
        )
    assert tried == [5]


def test_smaller_micro_batches_change_no_loss(new_training, tmp_path):
    whole = new_training(per_device_train_batch_size=4)
    parts = new_training(per_device_train_batch_size=4)
    parts = dataclasses.replace(parts, schedule=parts.schedule.split(30))
    sizes = [sum(map(len, batch)) for step in parts.schedule.steps for batch in step]
    assert max(sizes) == 30
    assert len(sizes) > 2 * len(whole.schedule.steps)
    losses = [
        [point["loss"] for point in fit(training, Checkpoint(tmp_path / name), False, lambda _: None).train_curve]
        for name, training in (("whole", whole), ("parts", parts))
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_one_row_may_be_longer_than_a_micro_batch(new_training):
    split = new_training().schedule.split(1)
    assert all(len(batch) == 1 for step in split.steps for batch in step)
    assert split.tokens == new_training().schedule.tokens
