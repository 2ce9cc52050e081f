"""Trained by the fast path and by the plain one, a model goes the same way."""

import pytest
import torch

from luthier.core.rows import TokenRow
from luthier.models.losses import RowsLoss
from luthier.training import CausalObjective, Checkpoint, fit

STEPS = 50


def _losses(new_training, rows, tmp_path, fast, dtype, monkeypatch):
    plain = RowsLoss.__init__
    monkeypatch.setattr(RowsLoss, "__init__", lambda self, model: plain(self, model, fast))
    training = new_training(
        learn=lambda loss: (rows, CausalObjective(loss)), dtype=dtype, num_train_epochs=STEPS, learning_rate=2e-3
    )
    monkeypatch.undo()
    assert (training.objective.fast_path == "on") == fast
    state = fit(training, Checkpoint(tmp_path / str(fast)), False, lambda _: None)
    return [point["loss"] for point in state.train_curve]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("shared", [False, True])
def test_fifty_steps_have_the_same_losses(new_training, random_rows, tmp_path, monkeypatch, shared, dtype, tolerance):
    beginning = random_rows((12,), seed=3)[0].input_ids if shared else ()
    rows = [
        TokenRow(row.id, beginning + row.input_ids, (False,) * len(beginning) + row.targets)
        for row in random_rows((9, 7, 11, 8))
    ]

    fast, plain = (_losses(new_training, rows, tmp_path, path, dtype, monkeypatch) for path in (True, False))

    assert len(fast) >= STEPS
    assert fast[-1] < fast[0] - 0.2
    assert fast == pytest.approx(plain, rel=tolerance)
