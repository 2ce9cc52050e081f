"""What a training tells while it goes on arrives where people watch it."""

import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from luthier.core.errors import TrainingError
from luthier.training import Checkpoint, TrainingState, fit, trackers

STATES = [
    TrainingState(step=1, tokens=10, loop_seconds=1.0, train_curve=[{"step": 1, "loss": 3.0, "learning_rate": 0.1}]),
    TrainingState(
        step=2,
        tokens=30,
        loop_seconds=2.0,
        train_curve=[{"step": 1, "loss": 3.0}],  # the second step was skipped
        validation_curve=[{"step": 2, "loss": 2.5, "accuracy": 0.5}],
    ),
]


def _tell(name, folder):
    with trackers([name], "training-1", folder, {"learning_rate": 0.1, "tools": ["a", "b"]}) as track:
        for state in STATES:
            track(state)


def test_tensorboard_reads_the_curves(new_training, rows, tmp_path):
    training = new_training(rows[:4], eval_steps=4)
    with trackers(["tensorboard"], "training-1", tmp_path, {"learning_rate": 0.1}) as track:
        state = fit(training, Checkpoint(tmp_path), False, track)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "training-1"))
    events.Reload()
    for name, curve in (("train", state.train_curve), ("validation", state.validation_curve)):
        found = [(event.step, event.value) for event in events.Scalars(f"{name}/loss")]
        assert [step for step, _ in found] == [point["step"] for point in curve]
        assert [value for _, value in found] == pytest.approx([point["loss"] for point in curve])
    assert len(events.Scalars("train/tokens_per_second")) == state.step


def test_only_what_is_new_is_told(tmp_path):
    _tell("tensorboard", tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard" / "training-1"))
    events.Reload()
    told = {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}
    assert told == {
        "train/loss": [(1, 3.0)],
        "train/learning_rate": [(1, pytest.approx(0.1))],
        "train/tokens_per_second": [(1, 10.0), (2, 15.0)],
        "validation/loss": [(2, 2.5)],
        "validation/accuracy": [(2, 0.5)],
    }


def test_mlflow_reads_the_curves(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    _tell("mlflow", tmp_path)
    [run] = mlflow.search_runs(output_format="list")
    assert (run.info.run_name, run.data.params["learning_rate"]) == ("training-1", "0.1")
    assert (run.data.metrics["train/loss"], run.data.metrics["validation/loss"]) == (3.0, 2.5)


def test_wandb_keeps_the_curves(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    _tell("wandb", tmp_path)
    [kept] = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"train/loss" in kept.read_bytes()


def test_mlflow_needs_a_place(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(
        TrainingError, match=r"^training\.report_to: MLflow has nowhere to write to \(MLFLOW_TRACKING_URI"
    ):
        _tell("mlflow", tmp_path)


def test_what_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(TrainingError, match=r"wandb is not installed \(pip install 'luthier\[trackers\]'\)"):
        _tell("wandb", tmp_path)
