import dataclasses
import itertools
import os
import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from luthier.training import Checkpoint, Objective, fit

SETTINGS = {"eval_steps": 2, "num_train_epochs": 2}


class InterruptedObjective(Objective):
    """A real objective that presses Ctrl-C: at the nth `loss` of a micro-batch, or `validation`."""

    fast_path = "on"

    def __init__(self, objective, method, call):
        self._objective, self._method, self._left = objective, method, call

    def step(self, rows):
        loss_of = self._objective.step(rows)
        return lambda batch: self._interrupted("loss", loss_of(batch))

    def validation(self, rows):
        return self._interrupted("validation", self._objective.validation(rows))

    def _interrupted(self, method, result):
        self._left -= method == self._method
        if not self._left and method == self._method:
            signal.raise_signal(signal.SIGINT)
        return result


def _weights(training):
    return {name: parameter.detach().clone() for name, parameter in training.parameters.items()}


def _outcome(training, state):
    """All that a training ends with, apart from the time it took."""
    return dataclasses.asdict(dataclasses.replace(state, loop_seconds=0.0)), _weights(training)


def _assert_same(found, expected):
    assert found[0] == expected[0]
    for name, weight in expected[1].items():
        assert torch.equal(found[1][name], weight), name


@pytest.fixture
def uninterrupted(new_training, rows, tmp_path):
    """`uninterrupted(**settings)`: what training ends with when nothing disturbs it."""

    def run(**settings):
        training = new_training(rows[:4], **SETTINGS | settings)
        return _outcome(training, fit(training, Checkpoint(tmp_path / "uninterrupted"), False, lambda _: None))

    return run


@pytest.mark.parametrize("load_best", [True, False])
@pytest.mark.parametrize(
    ("method", "call"),
    [("loss", 1), ("loss", 2), ("loss", 9), ("validation", 1), ("validation", 3)],
    ids=["in the first step", "between micro-batches", "in a later step", "in a validation", "in the last validation"],
)
def test_interrupted_anywhere_and_resumed_it_ends_the_same(
    new_training, rows, tmp_path, uninterrupted, method, call, load_best
):
    settings = SETTINGS | {
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 2,
        "load_best_model_at_end": load_best,
    }
    checkpoint = Checkpoint(tmp_path / "interrupted")
    training = new_training(rows[:4], **settings)
    interrupted = dataclasses.replace(training, objective=InterruptedObjective(training.objective, method, call))
    with pytest.raises(KeyboardInterrupt):
        fit(interrupted, checkpoint, False, lambda _: None)
    resumed = new_training(rows[:4], **settings)
    found = _outcome(resumed, fit(resumed, checkpoint, True, lambda _: None))
    _assert_same(found, uninterrupted(**settings))


@pytest.mark.parametrize(
    "changes",
    [{}, {"adapter": {"init_lora_weights": "pissa"}}, {"adapter": {"use_dora": True}}, {"optim": "adamw_8bit"}],
    ids=str,
)
def test_interrupted_between_steps_it_goes_on_from_there(new_training, rows, tmp_path, uninterrupted, changes):
    def stop_after_four(state):
        if state.step == 4:
            raise KeyboardInterrupt

    checkpoint = Checkpoint(tmp_path / "interrupted")
    with pytest.raises(KeyboardInterrupt):
        fit(new_training(rows[:4], **SETTINGS, **changes), checkpoint, False, stop_after_four)
    assert checkpoint.state().step == 4
    steps = []
    resumed = new_training(rows[:4], **SETTINGS, **changes)
    found = _outcome(resumed, fit(resumed, checkpoint, True, lambda state: steps.append(state.step)))
    assert steps[0] == 5
    _assert_same(found, uninterrupted(**changes))


def test_ctrl_c_while_weights_change_waits_until_all_have(new_training, rows, tmp_path, uninterrupted, monkeypatch):
    step, pressed = torch.optim.AdamW.step, []

    def interrupted_step(self, closure=None):
        if len(pressed) < 1:
            pressed.append(True)
            signal.raise_signal(signal.SIGINT)
        return step(self, closure)

    checkpoint = Checkpoint(tmp_path / "interrupted")
    monkeypatch.setattr(torch.optim.AdamW, "step", interrupted_step)
    with pytest.raises(KeyboardInterrupt):
        fit(new_training(rows[:4], **SETTINGS), checkpoint, False, lambda _: None)
    assert checkpoint.state().step == 1
    resumed = new_training(rows[:4], **SETTINGS)
    _assert_same(_outcome(resumed, fit(resumed, checkpoint, True, lambda _: None)), uninterrupted())


def test_a_checkpoint_is_written_when_its_time_has_come(new_training, tmp_path, monkeypatch):
    """The clock ticks once each time it is read: three times a step."""
    clock = itertools.count()
    monkeypatch.setattr("luthier.training.loop.time.monotonic", lambda: float(next(clock)))
    checkpoint = Checkpoint(tmp_path)
    behind = []
    fit(
        new_training(save_seconds=10, num_train_epochs=5),
        checkpoint,
        False,
        lambda state: behind.append(state.step - checkpoint.state().step),
    )
    assert max(behind) == 3
    assert behind.count(0) >= 4


def test_before_a_validation_a_checkpoint_is_written(new_training, rows, tmp_path):
    checkpoint = Checkpoint(tmp_path)
    written = []

    class WatchedObjective(Objective):
        fast_path = "on"

        def __init__(self, objective):
            self._objective = objective

        def step(self, rows):
            return self._objective.step(rows)

        def validation(self, rows):
            written.append(checkpoint.state().step)
            return self._objective.validation(rows)

    training = new_training(rows[:4], eval_steps=4)
    total = len(training.schedule.steps)
    watched = dataclasses.replace(training, objective=WatchedObjective(training.objective))
    fit(watched, checkpoint, False, lambda _: None)
    assert written == [*range(4, total, 4), total]


TIMES = [1, *(pytest.param(number, marks=pytest.mark.slow) for number in range(2, 11))]


@pytest.mark.parametrize("_time", TIMES)
@pytest.mark.parametrize("optim", ["adamw_torch", pytest.param("adamw_8bit", marks=pytest.mark.slow)])
def test_killed_at_a_random_moment_and_resumed_it_ends_the_same(tiny_model_folder, tmp_path, optim, _time):
    """kill -9 of a real process that saves at every step."""
    script = Path(__file__).with_name("killed_training.py")
    new_training = runpy.run_path(str(script))["new_training"]
    undisturbed, resumed = (new_training(tiny_model_folder, optim) for _ in range(2))
    total = len(resumed.schedule.steps)
    moment = random.SystemRandom().uniform(1, total - 1)
    checkpoint = Checkpoint(tmp_path / "killed")
    folders = map(str, (tiny_model_folder, checkpoint.path.parent))
    done = _run_and_kill([sys.executable, str(script), *folders, optim], moment)

    assert done - 1 <= checkpoint.state().step <= total, moment
    found = fit(resumed, checkpoint, True, lambda _: None)
    expected = fit(undisturbed, Checkpoint(tmp_path / "undisturbed"), False, lambda _: None)
    assert [point["step"] for point in found.train_curve] == [point["step"] for point in expected.train_curve]
    for curve in ("train_curve", "validation_curve"):
        losses = [[point["loss"] for point in getattr(state, curve)] for state in (found, expected)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-6), moment
    for name, weight in _weights(undisturbed).items():
        torch.testing.assert_close(resumed.parameters[name].detach(), weight, atol=1e-6, rtol=0)


def _run_and_kill(command, moment):
    """Start a training, kill it a random while after step `moment`; the last step that it has told of."""
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONWARNINGS": "ignore"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= moment:
                break
        time.sleep(moment % 1 * 0.02)
        process.kill()
        told = [line, *process.stdout]
    assert process.returncode == -signal.SIGKILL
    return int([step for step in told if step.endswith("\n")][-1])
