"""Which normalisations kernels may stand in for."""

import pytest
import torch
from torch import nn
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from luthier.models.norms import plain_norm


def test_weight_and_epsilon_of_the_common_form():
    module = LlamaRMSNorm(8, eps=1e-5)
    weight, epsilon = plain_norm(module)
    assert weight is module.weight
    assert epsilon == 1e-5


class BareRMSNorm(nn.Module):
    variance_epsilon = 1e-6
    weight = None


@pytest.mark.parametrize(
    "module", [nn.LayerNorm(8), torch.nn.RMSNorm(8), GemmaRMSNorm(8), BareRMSNorm(), nn.Linear(2, 2)]
)
def test_others_are_left_alone(module):
    assert plain_norm(module) is None
