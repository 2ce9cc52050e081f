"""Several processes end where one does."""

import json
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from luthier.core.errors import TrainingError
from luthier.models.adapter import trainable
from luthier.models.losses import RowsLoss
from luthier.training import CausalObjective, Checkpoint, MasterWeights, Ranks, Schedule, Training, fit

SCRIPT = Path(__file__).with_name("ranked_training.py")


@pytest.mark.parametrize(
    ("optim", "tolerance"),
    # Where rounding changes a code, a step differs by some per cent.
    [("adamw_torch", 1e-4), pytest.param("adamw_8bit", 1e-2, marks=pytest.mark.slow)],
)
def test_two_processes_end_where_one_does(tiny_model_folder, tmp_path, optim, tolerance):
    found = _train_together(2, tiny_model_folder, tmp_path, arguments=[optim])
    assert found[0]["weights"] == found[1]["weights"]
    assert found[0] == found[1]

    alone, state = _train_alone(tiny_model_folder, tmp_path / "alone", optim)
    assert found[0]["tokens"] == state.tokens
    for name, curve in (("train", state.train_curve), ("validation", state.validation_curve)):
        assert [point["step"] for point in found[0][name]] == [point["step"] for point in curve]
        assert [point["loss"] for point in found[0][name]] == pytest.approx([p["loss"] for p in curve], abs=tolerance)
    torch.testing.assert_close(torch.tensor(found[0]["weights"]), alone, rtol=0, atol=tolerance)


def _train_together(size, model_folder, out, script=SCRIPT, arguments=()):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [sys.executable, str(script), str(model_folder), str(out), *arguments]
    processes = [subprocess.Popen(command, env=os.environ | shared | {"RANK": str(rank)}) for rank in range(size)]
    try:
        assert [process.wait(timeout=120) for process in processes] == [0] * size
    finally:
        for process in processes:
            process.kill()
    return [json.loads((out / f"rank-{rank}.json").read_text()) for rank in range(size)]


def _train_alone(model_folder, folder, optim):
    """The same with two micro-batches a step instead of two processes."""
    killed = runpy.run_path(str(SCRIPT.with_name("killed_training.py")))
    rows, model = killed["rows_and_model"](model_folder)
    changes = {
        "num_train_epochs": 4,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": 2,
        "optim": optim,
    }
    settings = killed["SETTINGS"].model_copy(update=changes)
    training = Training(
        CausalObjective(RowsLoss(model)),
        MasterWeights(trainable(model)),
        Schedule.of(rows[2:], settings, 40),
        rows[:2],
        settings,
    )
    state = fit(training, Checkpoint(folder), False, lambda _: None)
    return torch.cat([parameter.detach().flatten() for parameter in training.parameters.values()]), state


def test_without_torchrun_a_process_is_alone():
    ranks = Ranks.join()
    assert (ranks.size, ranks.is_first) == (1, True)
    assert ranks.share([1, 2, 3]) == [1, 2, 3]
    assert ranks.sum(2.5) == 2.5
    assert ranks.agree("word") == "word"


def test_shares_are_disjoint_and_whole():
    shares = [Ranks(rank, 3).share(range(8)) for rank in range(3)]
    assert [list(share) for share in shares] == [[0, 3, 6], [1, 4, 7], [2, 5]]


def test_others_that_cannot_be_reached_are_a_training_error(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(TrainingError, match="torchrun: the other processes cannot be reached"):
        Ranks.join()


def test_a_size_that_is_no_number_is_one_sentence(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "x")
    with pytest.raises(TrainingError, match=r"torchrun: WORLD_SIZE is 'x' \(a whole number from 1\)"):
        Ranks.join()
