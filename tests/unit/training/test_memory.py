import dataclasses

import pytest
import torch
from torch import nn

from luthier.training import Checkpoint, fit, kept_bytes


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
