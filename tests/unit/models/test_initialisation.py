"""Weights are drawn as the scheme says, whatever the architecture."""

import math

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig
from transformers.pytorch_utils import Conv1D

from luthier.models.initialisation import INTO_THE_STREAM, initialise, spread_by_scheme

WIDTH, LAYERS = 64, 8
CONFIGS = {
    "llama": LlamaConfig(
        hidden_size=WIDTH, intermediate_size=128, num_hidden_layers=LAYERS, num_attention_heads=4, vocab_size=320
    ),
    "gpt2": GPT2Config(n_embd=WIDTH, n_layer=LAYERS, n_head=4, vocab_size=320),
}


@pytest.fixture
def new_model():
    def new(kind, scheme):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(CONFIGS[kind])
            initialise(model, scheme)
        return model

    return new


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize(
    ("scheme", "others", "into_the_stream"),
    [
        ("gpt2", 0.02, 0.02 / math.sqrt(2 * LAYERS)),
        ("small", math.sqrt(2 / (5 * WIDTH)), 2 / (LAYERS * math.sqrt(WIDTH))),
    ],
)
def test_matrices_are_as_wide_as_the_scheme_says(kind, scheme, others, into_the_stream, new_model):
    model = new_model(kind, scheme)
    found = 0
    for name, expected in spread_by_scheme(model, scheme).items():
        written = INTO_THE_STREAM.search(name) is not None
        found += written
        assert expected == pytest.approx(into_the_stream if written else others)
        assert float(model.get_parameter(name).detach().std()) == pytest.approx(expected, rel=0.1), name
    assert found == 2 * LAYERS  # attention's and the feed-forward part's output


def test_xavier_looks_at_inputs_and_outputs(new_model):
    model = new_model("llama", "xavier")
    up = model.model.layers[0].mlp.up_proj.weight
    assert float(up.detach().std()) == pytest.approx(math.sqrt(2 / (64 + 128)), rel=0.1)
    assert float(model.model.embed_tokens.weight.detach().std()) == pytest.approx(1 / 8, rel=0.1)


def test_by_default_nothing_is_drawn_anew(new_model):
    plain = new_model("gpt2", "default")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        theirs = AutoModelForCausalLM.from_config(CONFIGS["gpt2"])
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), theirs.parameters(), strict=True))
    assert set(spread_by_scheme(plain, "default").values()) == {0.02}
    assert any(isinstance(module, Conv1D) for module in plain.modules())


def test_the_usual_width_is_that_of_the_architecture_not_of_the_configuration():
    model = AutoModelForCausalLM.from_config(LlamaConfig(**CONFIGS["llama"].to_dict() | {"initializer_range": 0.2}))
    assert set(spread_by_scheme(model, "default").values()) == {0.02}
