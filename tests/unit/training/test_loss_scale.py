"""float16 with a loss that is scaled: small gradients arrive, and a step that overflows changes no weight."""

import dataclasses
import itertools
import random

import pytest
import torch
from torch import nn

from luthier.core.errors import TrainingError
from luthier.training import Checkpoint, MasterWeights, Objective, TrainingState, fit
from luthier.training.loss_scale import FIRST_SCALE, adapt_scale, unscale

HALF = {"dtype": torch.float16}
FULL = {"adapter": {"method": "full"}, "learning_rate": 5e-4}


class OverflowingObjective(Objective):
    """A real objective whose gradients are infinite in the micro-batches that `overflows` names, counted from 1."""

    fast_path = "on"

    def __init__(self, objective, overflows):
        self._objective, self._overflows, self._count = objective, overflows, 0

    def step(self, rows):
        loss_of = self._objective.step(rows)

        def changed(batch):
            self._count += 1
            return _Overflow.apply(loss_of(batch)) if self._overflows(self._count) else loss_of(batch)

        return changed

    def validation(self, rows):
        return self._objective.validation(rows)


class _Overflow(torch.autograd.Function):
    @staticmethod
    def forward(_ctx, loss):
        return loss.clone()

    @staticmethod
    def backward(_ctx, *grads):
        return grads[0] * torch.inf


def _scaled(training, overflows=None):
    objective = OverflowingObjective(training.objective, overflows) if overflows else training.objective
    return dataclasses.replace(training, objective=objective, scales_loss=True)


def _weights(training):
    return {name: parameter.detach().clone() for name, parameter in training.parameters.items()}


def test_the_scale_is_that_of_torchs_grad_scaler(monkeypatch):
    monkeypatch.setattr("luthier.training.loss_scale.GROWTH_STEPS", 5)
    source = random.Random(3)
    parameter = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    scaler = torch.amp.GradScaler("cpu", growth_interval=5)
    state, seen = TrainingState(loss_scale=FIRST_SCALE), set()
    for _ in range(300):
        scaler.scale(torch.ones(()))
        assert state.loss_scale == scaler.get_scale()
        finite = source.random() > 0.15
        parameter.grad = torch.ones(1) if finite else torch.full((1,), torch.inf)
        scaler.step(optimizer)
        scaler.update()
        adapt_scale(state, finite)
        seen.add(state.loss_scale)
    assert len(seen) > 5


def test_a_gradient_that_float16_would_lose_arrives():
    def gradient(scale):
        parameter = nn.Parameter(torch.ones(4, dtype=torch.float16))
        weights = MasterWeights({"weight": parameter})
        (parameter.float().sum() * 1e-9 * scale).backward()
        unscale(weights.parameters.values(), scale)
        return weights.parameters["weight"].grad

    assert torch.equal(gradient(1.0), torch.zeros(4))
    torch.testing.assert_close(gradient(FIRST_SCALE), torch.full((4,), 1e-9), rtol=1e-3, atol=0)


def test_training_in_float16_stays_close_to_fp32(new_training, tmp_path):
    curves = []
    for dtype in (torch.float32, torch.float16):
        training = new_training(**FULL, dtype=dtype, num_train_epochs=10, max_grad_norm=0.5)
        training = _scaled(training) if dtype == torch.float16 else training
        assert training.objective.fast_path == "on"
        state = fit(training, Checkpoint(tmp_path / str(dtype)), False, lambda _: None)
        assert {parameter.dtype for parameter in training.parameters.values()} == {torch.float32}
        assert (len(state.train_curve), state.skipped_steps) == (50, 0)
        curves.append(
            [torch.tensor([point[name] for point in state.train_curve]) for name in ("loss", "gradient_norm")]
        )
    (wide, wide_norms), (half, half_norms) = curves
    torch.testing.assert_close(half, wide, rtol=0, atol=2e-3)
    torch.testing.assert_close(half_norms, wide_norms, rtol=2e-2, atol=0)


def test_an_overflow_halves_the_scale_and_changes_no_weight(new_training, tmp_path):
    training = _scaled(new_training(**HALF), lambda number: number in (2, 4))
    weights, scales = [_weights(training)], []

    def note(state):
        weights.append(_weights(training))
        scales.append(state.loss_scale / FIRST_SCALE)

    state = fit(training, Checkpoint(tmp_path), False, note)
    assert scales == [1, 0.5, 0.5, *[0.25] * (state.step - 3)]
    assert (state.skipped_steps, len(state.train_curve)) == (2, state.step - 2)
    pairs = itertools.pairwise(weights)
    same = [all(torch.equal(before[name], after[name]) for name in before) for before, after in pairs]
    assert [step for step, equal in enumerate(same, 1) if equal] == [2, 4]


def test_a_resume_goes_on_with_the_scale(new_training, tmp_path):
    def new():
        return _scaled(new_training(**HALF), lambda number: number == 2)

    def stop(state):
        if state.step == 3:
            raise KeyboardInterrupt

    whole = new()
    expected = fit(whole, Checkpoint(tmp_path / "whole"), False, lambda _: None)
    checkpoint = Checkpoint(tmp_path / "stopped")
    with pytest.raises(KeyboardInterrupt):
        fit(new(), checkpoint, False, stop)
    resumed = _scaled(new_training(**HALF))
    found = fit(resumed, checkpoint, True, lambda _: None)
    assert (found.loss_scale, found.steps_at_scale) == (FIRST_SCALE / 2, found.step - 2)
    assert dataclasses.replace(found, loop_seconds=0.0) == dataclasses.replace(expected, loop_seconds=0.0)
    assert all(torch.equal(weight, _weights(whole)[name]) for name, weight in _weights(resumed).items())


def test_a_model_that_overflows_in_every_step_is_told_what_to_do(new_training, tmp_path):
    training = _scaled(new_training(**HALF, num_train_epochs=10), lambda _: True)
    with pytest.raises(TrainingError, match=r"16 steps in a row .*bfloat16 or float32"):
        fit(training, Checkpoint(tmp_path), False, lambda _: None)
