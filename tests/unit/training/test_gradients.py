import pytest
import torch

from luthier.training.gradients import norms_by_layer


def gradient(*values):
    return torch.tensor(values) if values else None


def test_norms_are_those_of_all_parameters_of_a_layer():
    found = norms_by_layer(
        {
            "model.layers.0.q.weight": gradient(3.0),
            "model.layers.0.v.weight": gradient(0.0, 4.0),
            "model.layers.11.q.weight": gradient(1.0, 1.0),
            "model.layers.2.q.weight": gradient(),
            "model.norm.weight": gradient(-2.0),
        }
    )
    assert found == {"layer 0": 5.0, "layer 11": pytest.approx(2**0.5), "layer 2": 0.0, "others": 2.0}
