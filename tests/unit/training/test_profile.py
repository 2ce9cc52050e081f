"""A profile tells where a step goes, and leaves everything as it was."""

import pytest
import torch

from luthier.training import CausalObjective
from luthier.training.profile import OTHER, PARTS, profile_step


@pytest.fixture
def training(new_training, random_rows):
    return new_training(learn=lambda loss: (random_rows((40, 30, 20, 35)), CausalObjective(loss)))


def test_time_and_memory_are_told_by_part(training, tiny_model):
    found = profile_step(training, tiny_model)

    assert set(found.time_shares) == {*PARTS, OTHER}
    assert sum(found.time_shares.values()) == pytest.approx(1.0, abs=0.01)
    assert all(found.time_shares[part] > 0 for part in PARTS)
    assert found.tokens == sum(len(row) for batch in training.schedule.steps[0] for row in batch)
    trained = sum(parameter.nbytes for parameter in training.parameters.values())
    assert found.bytes["gradients"] == trained
    assert 2 * trained <= found.bytes["optimiser"] < 2.1 * trained + 1000
    assert found.bytes["activations"] > 0
    assert 0 < found.share_of_ceiling < 1.5
    weights = sum(parameter.numel() for parameter in tiny_model.parameters())
    assert found.flops > 2 * 0.3 * weights * found.tokens
    assert found.to_json()["share_of_ceiling"] == pytest.approx(found.share_of_ceiling, abs=1e-4)
    time_line = next(line for line in found.report().splitlines() if line.startswith("time: "))
    assert all(part in time_line for part in PARTS)


def test_nothing_has_changed_afterwards(training, tiny_model):
    before = {name: parameter.detach().clone() for name, parameter in training.parameters.items()}
    torch.manual_seed(5)
    expected = torch.get_rng_state()

    profile_step(training, tiny_model)

    assert torch.equal(torch.get_rng_state(), expected)
    for name, parameter in training.parameters.items():
        assert torch.equal(parameter, before[name])
        assert parameter.grad is None


def test_what_more_tokens_keep_is_more(new_training, random_rows, tiny_model):
    def activations(length):
        training = new_training(learn=lambda loss: (random_rows((length,) * 3), CausalObjective(loss)), packing=False)
        return profile_step(training, tiny_model).bytes["activations"]

    few, many = activations(20), activations(80)

    assert many > 3 * few
