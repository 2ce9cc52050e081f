"""bfloat16 weights that are optimised in fp32."""

import torch
from torch import nn

from luthier.training import Checkpoint, MasterWeights, fit

FULL = {"adapter": {"method": "full"}, "dtype": torch.bfloat16}


def test_small_steps_add_up_that_bfloat16_would_lose():
    parameter = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weights = MasterWeights({"weight": parameter})
    optimizer = torch.optim.SGD(weights.parameters.values(), lr=1e-3)
    for _ in range(10):
        (parameter.sum()).backward()
        optimizer.step()
        optimizer.zero_grad()
        weights.publish()
    torch.testing.assert_close(weights.parameters["weight"].detach(), torch.full((4,), 0.99))
    assert torch.equal(parameter.detach(), torch.full((4,), 0.99).bfloat16())


def test_gradients_of_micro_batches_add_up_in_fp32():
    parameter = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    weights = MasterWeights({"weight": parameter})
    for _ in range(300):
        parameter.sum().backward()
    assert parameter.grad is None
    assert torch.equal(weights.parameters["weight"].grad, torch.full((4,), 300.0))  # bfloat16 stays at 256


def test_wide_parameters_are_optimised_themselves():
    parameter = nn.Parameter(torch.ones(4))
    assert MasterWeights({"weight": parameter}).parameters["weight"] is parameter


def test_the_model_computes_with_the_weights_that_were_kept(new_training, rows, tmp_path):
    training = new_training(rows[:4], **FULL, eval_steps=2, learning_rate=5e-4)
    assert training.objective.fast_path == "on"
    state = fit(training, Checkpoint(tmp_path), False, lambda _: None)
    model = dict(training.objective._loss._model.named_parameters())
    assert {parameter.dtype for parameter in training.parameters.values()} == {torch.float32}
    for name, master in training.parameters.items():
        assert torch.equal(model[name], master.bfloat16()), name
    assert training.objective.validation(rows[:4])["loss"] == state.best_loss
    assert state.train_curve[-1]["loss"] < state.train_curve[0]["loss"]


def test_full_training_in_bfloat16_stays_close_to_fp32(new_training, tmp_path):
    losses = []
    for number, dtype in enumerate((torch.float32, torch.bfloat16)):
        training = new_training(**FULL | {"dtype": dtype}, num_train_epochs=10, learning_rate=5e-4)
        state = fit(training, Checkpoint(tmp_path / str(number)), False, lambda _: None)
        losses.append(torch.tensor([point["loss"] for point in state.train_curve]))
    assert len(losses[0]) == 50
    torch.testing.assert_close(*losses, rtol=0, atol=2e-2)
