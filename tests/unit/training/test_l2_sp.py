import pytest
import torch
from torch import nn

from luthier.training import Checkpoint, MasterWeights, StartPenalty, fit

FULL = {"adapter": {"method": "full"}, "learning_rate": 1e-3, "num_train_epochs": 4}


def test_the_penalty_and_its_gradient():
    weights = {"a": nn.Parameter(torch.tensor([1.0, 2.0])), "b": nn.Parameter(torch.tensor([[3.0]]))}
    penalty = StartPenalty(weights, weights, 0.4)
    weights["a"].data += torch.tensor([0.5, -1.0])
    weights["b"].data += 2.0
    weights["a"].grad = torch.tensor([1.0, 1.0])
    assert penalty.add_gradients() == pytest.approx(0.2 * (0.25 + 1.0 + 4.0))
    torch.testing.assert_close(weights["a"].grad, torch.tensor([1.2, 0.6]))
    torch.testing.assert_close(weights["b"].grad, torch.tensor([[0.8]]))


def test_copies_in_fp32_are_held_to_the_narrow_weights_of_the_model():
    narrow = {"a": nn.Parameter(torch.tensor([1.0, 1 / 3], dtype=torch.bfloat16))}
    weights = MasterWeights(narrow)
    penalty = StartPenalty(narrow, weights.parameters, 1.0)
    assert penalty.add_gradients() == 0.0
    weights.parameters["a"].data += 1e-4  # too little for bfloat16
    weights.publish()
    assert penalty.add_gradients() == pytest.approx(1e-8, rel=1e-3)


def test_weights_stay_nearer_and_the_curve_shows_the_loss_alone(new_training, tmp_path):
    distances, states = {}, {}
    for l2_sp in (0.0, 1.0):
        training = new_training(**FULL, l2_sp=l2_sp)
        start = {name: parameter.detach().clone() for name, parameter in training.parameters.items()}
        states[l2_sp] = fit(training, Checkpoint(tmp_path / str(l2_sp)), False, lambda _: None)
        distances[l2_sp] = sum((training.parameters[name] - start[name]).norm().item() for name in start)
    assert distances[1.0] < 0.7 * distances[0.0]
    curve = states[1.0].train_curve
    assert curve[0]["l2_sp"] == 0.0 < curve[-1]["l2_sp"]
    assert curve[0]["loss"] == states[0.0].train_curve[0]["loss"]
    assert "l2_sp" not in states[0.0].train_curve[0]


def test_a_resume_holds_the_weights_to_where_they_began(new_training, tmp_path):
    def stop(state):
        if state.step == 3:
            raise KeyboardInterrupt

    settings = {**FULL, "l2_sp": 1.0}
    with pytest.raises(KeyboardInterrupt):
        fit(new_training(**settings), Checkpoint(tmp_path / "two"), False, stop)
    ends = [
        fit(new_training(**settings), Checkpoint(tmp_path / name), name == "two", lambda _: None)
        for name in ("one", "two")
    ]
    assert ends[0].train_curve == ends[1].train_curve
