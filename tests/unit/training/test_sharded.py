"""Weights in shards over two processes: losses, resume, files and bytes."""

import functools
import runpy
from pathlib import Path

import pytest
import torch

from luthier.models.loading import load_model
from luthier.models.methods import load_trained
from luthier.models.sources import BaseFiles
from luthier.training import Checkpoint, Ranks, fit

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow
METHODS = ["lora", "full"]


@pytest.fixture(scope="module")
def sharded(tiny_model_folder, tmp_path_factory):
    """`sharded(method)`: what each of two processes found, and the folder that they wrote to."""
    train_together = runpy.run_path(str(HERE / "test_ranks.py"))["_train_together"]

    @functools.cache
    def trained(method):
        out = tmp_path_factory.mktemp("sharded")
        found = train_together(2, tiny_model_folder, out, HERE / "sharded_training.py", [method])
        return [of[method] for of in found], out / method

    return trained


@pytest.fixture(scope="module")
def alone(tiny_model_folder, tmp_path_factory):
    """`alone(method)`: the same by one process with whole weights, two micro-batches a step instead of two processes:
    training, model and state."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        script = runpy.run_path(str(HERE / "sharded_training.py"))

    @functools.cache
    def trained(method):
        training, model = script["new_training"](tiny_model_folder, method, Ranks(), gradient_accumulation_steps=2)
        return training, model, fit(training, Checkpoint(tmp_path_factory.mktemp("alone")), False, lambda _: None)

    return trained


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_with_shards_have_the_losses_of_one(sharded, alone, method):
    training, _, state = alone(method)
    first, second = sharded(method)[0]
    assert first["train"] == second["train"]
    assert first["fast_path"] == "off: the weights lie in shards"
    assert any(len(step) % 2 for step in training.schedule.steps), "one process must have a pass less in some step"
    for name, curve in (("train", state.train_curve), ("validation", state.validation_curve)):
        assert [point["loss"] for point in first[name]] == pytest.approx([p["loss"] for p in curve], abs=1e-4)
    for name in ("gradient_norm", "l2_sp"):
        expected = [point[name] for point in state.train_curve]
        assert [point[name] for point in first["train"]] == pytest.approx(expected, rel=1e-3)
    assert first["gradients"][0] == pytest.approx(state.gradient_curve[0], rel=1e-3)
    weights = torch.cat([parameter.detach().flatten() for parameter in training.parameters.values()])
    torch.testing.assert_close(torch.tensor(first["weights"]), weights, rtol=0, atol=1e-3)


@pytest.mark.parametrize("method", METHODS)
def test_a_resume_with_shards_ends_the_same(sharded, method):
    for found in sharded(method)[0]:
        assert found["went_on_from"] == 5
        assert found["resumed"]["train"] == found["train"]
        assert found["resumed"]["weights"] == found["weights"]


@pytest.mark.parametrize("method", METHODS)
def test_what_shards_leave_is_a_whole_model(sharded, tiny_model_folder, method):
    found, out = sharded(method)
    base = BaseFiles("tiny", tiny_model_folder, "")
    model = load_trained(out / "trained", lambda: load_model(base, "float32"), "float32")
    names = ("lora_A", "lora_B") if method == "lora" else ("",)
    weights = [weight.flatten() for name, weight in model.named_parameters() if any(part in name for part in names)]
    assert torch.equal(torch.cat(weights), torch.tensor(found[0]["weights"]))


@pytest.mark.parametrize("method", METHODS)
def test_each_process_keeps_half_of_everything(sharded, alone, method):
    training, model, _ = alone(method)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    trained = sum(parameter.nbytes for parameter in training.parameters.values())
    whole = {"weights": weights, "gradients": trained, "optimiser": 2 * trained}
    for name, size in whole.items():
        parts = [found["bytes"][name] for found in sharded(method)[0]]
        assert sum(parts) == size
        assert max(parts) < 0.55 * size
