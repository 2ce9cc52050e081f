import pytest
import torch
from torch import nn

from luthier.training.gradients import norms_by_layer


def parameter(*gradient):
    made = nn.Parameter(torch.zeros(len(gradient)))
    made.grad = torch.tensor(gradient) if gradient else None
    return made


def test_norms_are_those_of_all_parameters_of_a_layer():
    found = norms_by_layer(
        {
            "model.layers.0.q.weight": parameter(3.0),
            "model.layers.0.v.weight": parameter(0.0, 4.0),
            "model.layers.11.q.weight": parameter(1.0, 1.0),
            "model.layers.2.q.weight": parameter(),
            "model.norm.weight": parameter(-2.0),
        }
    )
    assert found == {"layer 0": 5.0, "layer 11": pytest.approx(2**0.5), "layer 2": 0.0, "others": 2.0}
