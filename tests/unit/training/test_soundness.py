"""Planted faults are named, and sound models raise no alarm."""

import math
from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    Qwen2Config,
)
from transformers.modeling_layers import GradientCheckpointingLayer

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import trainable
from luthier.models.methods import prepare
from luthier.training import Guess, check_ends, check_first_pass, check_rows, check_weights

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
GUESS = Guess(math.log(320), known=False)
CONFIGS = {
    "Llama": LlamaConfig(**SIZES, num_key_value_heads=2, vocab_size=320),
    "Qwen2": Qwen2Config(**SIZES, num_key_value_heads=2, vocab_size=320),
    "Gemma": GemmaConfig(**SIZES, num_key_value_heads=2, head_dim=8, vocab_size=320),
    "GPT2": GPT2Config(n_embd=32, n_layer=3, n_head=4, vocab_size=320),
    "BERT": BertConfig(**SIZES, vocab_size=320),
}


@pytest.fixture
def new_model():
    """`new_model("Llama")`: random weights by the scheme of its architecture, frozen."""

    def new(family: str) -> Any:
        config = CONFIGS[family]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = BertForMaskedLM(config) if family == "BERT" else AutoModelForCausalLM.from_config(config)
        return model.eval().requires_grad_(False)

    return new


def _verdicts(findings):
    return {finding.check: finding.verdict for finding in findings}


def _loss(model):
    ids = torch.arange(40)[None] * 7
    return lambda: model(input_ids=ids, labels=ids).loss


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("family", CONFIGS)
def test_sound_models_raise_no_alarm(family, method, new_model):
    model = prepare(new_model(family), AdapterSection(method=method), 0)
    parameters = trainable(model)
    findings = check_weights(model, parameters, 2e-4)
    findings += check_first_pass(model, parameters, _loss(model), GUESS)
    assert _verdicts(findings) == dict.fromkeys(
        (
            *("trainable_weights", "zero_weights", "weight_sizes", "update_ratio"),
            *("first_loss", "activations", "gradient", "gradient_ratio"),
        ),
        "pass",
    )
    assert not any(finding.advice for finding in findings)


def _weights_of_a_layer(model):
    """Matrices of the second layer, by name."""
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.dim() > 1 and any(f"{stack}.1." in name for stack in ("layers", "h", "layer"))
    }


@pytest.mark.parametrize("factor", [10.0, 0.1])
@pytest.mark.parametrize("family", CONFIGS)
def test_a_badly_initialised_weight_is_named(family, factor, new_model):
    for name in _weights_of_a_layer(new_model(family)):
        model = new_model(family)
        dict(model.named_parameters())[name].data.mul_(factor)
        adapted = prepare(model, AdapterSection(), 0)
        findings = check_weights(adapted, trainable(adapted), 2e-4)
        [found] = [finding for finding in findings if finding.verdict != "pass"]
        assert found.check == "weight_sizes"
        assert name.removesuffix(".weight") in found.advice
        assert found.value == pytest.approx(factor, rel=0.25)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_zeroed_weight_is_named(family, new_model):
    model = new_model(family)
    name, weight = next(iter(_weights_of_a_layer(model).items()))
    weight.data.zero_()
    model = prepare(model, AdapterSection(method="full"), 0)
    found = {finding.check: finding for finding in check_weights(model, trainable(model), 2e-5)}
    assert (found["zero_weights"].verdict, found["zero_weights"].value) == ("fail", 1)
    assert name in found["zero_weights"].advice


@pytest.mark.parametrize(("rate", "verdict"), [(2e-4, "pass"), (5e-2, "warn"), (0.2, "fail")])
def test_a_learning_rate_that_is_far_too_high_is_named(rate, verdict, new_model):
    model = prepare(new_model("Llama"), AdapterSection(), 0)
    assert _verdicts(check_weights(model, trainable(model), rate))["update_ratio"] == verdict


def test_a_model_of_which_nothing_trains_is_named(new_model):
    [found] = check_weights(new_model("Llama"), {}, 2e-4)
    assert (found.check, found.verdict) == ("trainable_weights", "fail")


class Layer(GradientCheckpointingLayer):
    def __init__(self, size):
        super().__init__()
        self.linear = nn.Linear(8, 8, bias=False)
        with torch.no_grad():
            nn.init.orthogonal_(self.linear.weight).mul_(size)

    def forward(self, x):
        return self.linear(x)


class Stack(nn.Module):
    """Layers without a residual path, whose gradients shrink or grow by a factor each."""

    def __init__(self, *sizes):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(Layer(size) for size in sizes)

    def forward(self):
        x = torch.randn(16, 8, generator=torch.Generator().manual_seed(0))
        for layer in self.layers:
            x = layer(x)
        return x.square().mean()


@pytest.mark.parametrize(
    ("sizes", "check", "words"),
    [
        ((1.0, 1.0, 1e4, 1.0), "activations", "explode or vanish from one layer to the next"),
        ((1.0, 0.0, 1.0, 1.0), "activations", "constant or not finite"),
        ((1e6, 1.0, 1.0, 1.0), "gradient_ratio", "gradients vanish"),
        ((1e-6, 1.0, 1.0, 1.0), "gradient_ratio", "gradients explode"),
    ],
)
def test_what_vanishes_or_explodes_is_named(sizes, check, words):
    model = Stack(*sizes)
    found = {finding.check: finding for finding in _first_pass(model)}
    assert found[check].verdict == "fail"
    assert words in found[check].advice
    sound = Stack(1.0, 1.0, 1.0, 1.0)
    assert set(_verdicts(_first_pass(sound)).values()) == {"pass"}


def _first_pass(model):
    return check_first_pass(model, dict(model.named_parameters()), model, Guess(1e12, known=False))


def _rows(*ids):
    return [TokenRow(f"row-{number}", row, (False, *[True] * (len(row) - 1))) for number, row in enumerate(ids)]


@pytest.mark.parametrize(
    ("rows", "check", "value"),
    [
        (_rows((1, 5, 2), (1, 320, 2)), "token_ids", 320),
        (_rows((1, 5, 2), (1, *[5] * 8, 2)), "longest_row", 10),
        (_rows((1, 1, 5, 2), (1, 5, 2)), "start_token", 0.5),
    ],
)
def test_rows_that_the_model_cannot_read_are_named(rows, check, value):
    found = {finding.check: finding for finding in check_rows(rows, 320, 9, 1)}
    assert (found.pop(check).verdict, {finding.verdict for finding in found.values()}) == ("fail", {"pass"})
    [sick] = [finding for finding in check_rows(rows, 320, 9, 1) if finding.verdict == "fail"]
    assert sick.value == value
    assert sick.advice


@pytest.mark.parametrize(
    ("rows", "verdict", "share"),
    [
        (_rows((1, 5, 2), (1, 6, 2)), "pass", 1),
        (_rows((1, 5, 2), (1, 6, 7)), "warn", 0.5),
        ([TokenRow("masked", (1, 5, 2), (False, True, False))], "fail", 0),
    ],
)
def test_an_end_that_is_not_learnt_is_named(rows, verdict, share):
    found = check_ends(rows, {2})
    assert (found.verdict, found.value) == (verdict, share)
