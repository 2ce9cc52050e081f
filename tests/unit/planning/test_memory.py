import json
from pathlib import Path

import pytest

from luthier.core.errors import TrainingError
from luthier.core.recipe import AdapterSection
from luthier.planning.memory import (
    RUNTIME_BYTES,
    SLACK,
    ForwardPass,
    Way,
    estimate_memory,
    kept_per_token,
    step_bytes,
    tokens_that_fit,
)
from luthier.planning.shape import ModelShape
from luthier.planning.trained import Trained, trained_by

SMOLLM2_135M = ModelShape.of(json.loads(Path(__file__).with_name("smollm2_135m.json").read_text()))
FORWARD = ForwardPass(2048, 1024, 120)


def estimated(adapter, dtype="bfloat16", forward=FORWARD, shape=SMOLLM2_135M, **way):
    r = adapter.r if adapter.method == "lora" else 0
    return estimate_memory(shape, trained_by(shape, adapter), Way(dtype, **way), forward, r, RUNTIME_BYTES)


def test_the_parts_that_need_no_estimate():
    """134,515,008 weights; LoRA r=16 on all linear layers has 4,884,480."""
    lora, full = estimated(AdapterSection()), estimated(AdapterSection(method="full"))
    assert lora.weights == 134_515_008 * 2 + 4_884_480 * 4
    assert (lora.gradients, lora.optimiser) == (4_884_480 * 4, 4_884_480 * 8)
    assert full.weights == 134_515_008 * 2
    assert (full.gradients, full.optimiser) == (134_515_008 * 4, 134_515_008 * 12)
    assert estimated(AdapterSection(method="full"), "float32").optimiser == 134_515_008 * 8
    assert lora.total == sum(lora.to_json().values())


def test_only_matrices_are_in_fewer_bits():
    lora, bytes_, four = (estimated(AdapterSection(), quantization=name) for name in (None, "int8", "nf4"))
    matrices = 30 * sum(linear.parameters for linear in SMOLLM2_135M.linears)
    assert lora.weights - bytes_.weights == matrices
    assert 8 * (lora.weights - four.weights) / matrices == pytest.approx(16 - 4.127, abs=0.001)  # QLoRA, section 3


def test_adapters_on_fewer_bits_keep_copies_of_what_goes_in():
    """PEFT computes them, in float32."""
    lora, four = (estimated(AdapterSection(), quantization=name) for name in (None, "nf4"))
    inputs = 30 * sum(linear.inputs for linear in SMOLLM2_135M.linears)
    assert four.activations - lora.activations == int(SLACK * FORWARD.tokens * inputs * 4)
    wide = [estimated(AdapterSection(), "float32", quantization=name).activations for name in (None, "nf4")]
    assert wide[0] == wide[1]


def test_moments_in_bytes_take_a_quarter():
    full, narrow = (estimated(AdapterSection(method="full"), optim=optim) for optim in ("adamw_torch", "adamw_8bit"))
    assert full.optimiser - narrow.optimiser == pytest.approx(134_515_008 * (8 - 2.03), rel=0.001)
    assert full.total - narrow.total == full.optimiser - narrow.optimiser
    assert step_bytes(1000, "adamw_8bit") == 4000 + 2031


def test_only_layers_above_the_first_that_trains_keep_anything():
    whole = estimated(AdapterSection(method="full")).activations
    last = estimated(AdapterSection(method="freeze", last_layers=3)).activations
    assert 0.09 * whole < last < 0.12 * whole


def test_recomputing_keeps_the_inputs_of_layers_and_one_layer_whole():
    kept, again = estimated(AdapterSection()), estimated(AdapterSection(), recompute=True)
    assert again.activations < 0.2 * kept.activations
    assert again.weights == kept.weights


def test_what_grows_with_the_batch_is_corrected_alone():
    lora = estimated(AdapterSection())
    double = lora.corrected(2.0)
    assert double.total - lora.total == lora.growing
    assert double.fixed == lora.fixed


@pytest.mark.parametrize("method", ["lora", "full", "freeze"])
@pytest.mark.parametrize("length", [48, 300])
def test_what_a_token_keeps_is_what_hooks_count(make_model, random_rows, method, length):
    """Of one layer: what a model of four keeps beyond one of two. The fast path may come to keep less."""
    from transformers import LlamaForCausalLM

    from luthier.models.losses import RowsLoss
    from luthier.models.methods import prepare
    from luthier.training import CausalObjective, kept_bytes

    settings = AdapterSection(method=method, **({"first_layers": 1} if method == "freeze" else {}))
    [row] = random_rows([length])
    counted = []
    for layers in (2, 4):
        config = make_model("Llama").config
        config.num_hidden_layers = layers
        model = prepare(LlamaForCausalLM(config).eval().requires_grad_(False), settings, 0)
        loss = RowsLoss(model)
        assert loss.fast_path == "on"
        counted.append(kept_bytes(CausalObjective(loss), row, model) / length)
    shape = ModelShape.of((model.get_base_model() if method == "lora" else model).config.to_dict())
    expected = kept_per_token(
        shape, trained_by(shape, settings), Way("float32"), length, settings.r * (method == "lora")
    )
    assert (counted[1] - counted[0]) / 2 == pytest.approx(expected, rel=0.4)


FIXED = step_bytes(10, "adamw_torch")


def _fit(free, ways=(lambda kept, _: kept,), per_token=100):
    return tokens_that_fit(5, 30, lambda length: per_token * length, ways, fixed=FIXED, free=free)


def test_tokens_that_fit():
    assert _fit(FIXED + int(100 * SLACK * 55)) == (55, 0)


def test_a_second_way_is_taken_where_the_first_does_not_fit():
    def half(kept, _):
        return kept // 2

    def all_of_it(kept, _):
        return kept

    free = FIXED + int(100 * SLACK * 20)
    assert _fit(free, (all_of_it, half)) == (40, 1)
    with pytest.raises(TrainingError, match=r"^data\.max_length: the longest row, 30 tokens, .* \(about 20 tokens, or"):
        _fit(free, (all_of_it,))
    with pytest.raises(TrainingError, match=r"0\.0 GB are free \(a method that trains fewer weights"):
        _fit(10, (all_of_it,))


def test_the_longest_row_is_not_tried_where_it_surely_does_not_fit():
    tried = []

    def measure(length):
        tried.append(length)
        return 10**9

    with pytest.raises(TrainingError):
        tokens_that_fit(5, 30, measure, [lambda kept, _: kept], 10, 10**9)
    assert tried == [5]


def test_a_shorter_pass_of_rows_like_these():
    assert ForwardPass(1000, 400, 300).scaled(100) == ForwardPass(100, 40, 100)
    assert Trained(1, 1, beside=True).beside
