"""Training with moments in bytes learns as much, in a quarter of the optimiser's memory."""

import pytest
import torch

from luthier.training import Checkpoint, fit
from luthier.training.adamw_8bit import AdamW8bit
from luthier.training.loop import new_optimizer


def trained(new_training, folder, **settings):
    training = new_training(num_train_epochs=8, **settings)
    return training, fit(training, Checkpoint(folder), False, lambda _: None)


@pytest.mark.parametrize(
    "changes",
    [{}, {"loraplus_lr_ratio": 4.0}, {"adapter": {"method": "full"}, "weight_decay": 0.01}],
    ids=["lora", "lora+", "full"],
)
def test_the_loss_is_that_of_float32_moments_to_a_hundredth(new_training, tmp_path, changes):
    losses = []
    for optim in ("adamw_torch", "adamw_8bit"):
        _, state = trained(new_training, tmp_path / optim, optim=optim, **changes)
        losses.append([point["loss"] for point in state.train_curve])
    plain, narrow = losses
    assert plain[-1] < plain[0] - (1.5 if "adapter" in changes else 0.1)
    assert narrow == pytest.approx(plain, rel=0.01)
    assert narrow != plain


def test_moments_take_a_quarter_of_the_bytes(new_training, tmp_path):
    sizes = {}
    for optim in ("adamw_torch", "adamw_8bit"):
        training, _ = trained(new_training, tmp_path / optim, optim=optim)
        optimizer = new_optimizer(training)
        Checkpoint(tmp_path / optim).load(training.parameters, optimizer)
        sizes[optim] = sum(value.nbytes for state in optimizer.state.values() for value in state.values())
    numbers = sum(parameter.numel() for parameter in training.parameters.values())
    assert sizes["adamw_torch"] >= 8 * numbers
    assert sizes["adamw_8bit"] < 0.28 * sizes["adamw_torch"]  # blocks of so small matrices are short
    on_disk = [(tmp_path / optim / "checkpoint.safetensors").stat().st_size for optim in sizes]
    assert on_disk[1] < on_disk[0] - 3.9 * numbers  # a few more names stand in it


def test_groups_have_their_own_learning_rates():
    slow, fast = (torch.nn.Parameter(torch.zeros(300)) for _ in range(2))
    optimizer = AdamW8bit([{"params": [slow], "lr": 1e-3}, {"params": [fast], "lr": 8e-3}], weight_decay=0.0)
    slow.grad, fast.grad = torch.ones(300), torch.ones(300)
    optimizer.step()
    torch.testing.assert_close(slow.detach(), torch.full((300,), -1e-3))
    torch.testing.assert_close(fast.detach(), torch.full((300,), -8e-3))


def test_weights_that_do_not_lie_in_one_row_are_changed_too():
    weights = torch.nn.Parameter(torch.zeros(3, 5).T)
    weights.grad = torch.arange(15.0).view(5, 3) - 7
    AdamW8bit([weights], lr=1e-3, weight_decay=0.0).step()
    torch.testing.assert_close(weights.detach(), -1e-3 * weights.grad.sign())
