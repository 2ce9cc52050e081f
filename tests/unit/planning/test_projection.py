"""Projections against what others have published for real trainings."""

import pytest

from luthier.core.recipe import AdapterSection
from luthier.planning.duration import Range, Schedule
from luthier.planning.memory import ForwardPass, Way
from luthier.planning.operations import bytes_per_token, operations_per_token
from luthier.planning.prices import default_prices, read_prices
from luthier.planning.projection import project_on, projected_speed
from luthier.planning.setup import Setup
from luthier.planning.shape import ModelShape
from luthier.planning.trained import trained_by

PRICES = read_prices(default_prices(), "prices.yaml")
DEVICES = {device.name: device for device in PRICES.hardware}
QWEN_7B = ModelShape.of(
    {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 151936,
        "tie_word_embeddings": False,
    }
)
LORA = AdapterSection(r=64)


def setup(tokens, adapter=LORA, recompute=True, shape=QWEN_7B):
    r = adapter.r if adapter.method == "lora" else 0
    forward = ForwardPass(tokens, tokens, tokens)
    return Setup(shape, trained_by(shape, adapter), Way("bfloat16", recompute=recompute), forward, r)


@pytest.mark.parametrize(
    ("tokens", "seconds", "gigabytes"),
    [(512, 1.5, 20.4), (1024, 2.8, 21.5), (2048, 5.2, 23.8), (4096, 10.1, None)],
)
def test_qwen_7b_on_an_a100_as_its_makers_measured_it(tokens, seconds, gigabytes):
    """README of QwenLM/Qwen, 2023: LoRA, one A100-SXM4-80G, recomputed layers, eight rows of so many tokens a step. Of
    longer rows their logits, which exist whole, take most of the memory."""
    schedule = Schedule(8 * tokens, 1, 8 * tokens, 0, 1)
    found = project_on(setup(tokens), schedule, DEVICES["NVIDIA A100 80GB"], PRICES)
    assert found.fits
    assert found.seconds.low < seconds < found.seconds.high
    assert found.seconds.expected == pytest.approx(seconds, rel=0.25)
    if gigabytes:
        assert found.memory_bytes / 1e9 == pytest.approx(gigabytes, rel=0.1)


def test_operations_are_six_a_weight_where_all_train_and_four_where_an_adapter_does():
    shape = ModelShape.of(
        {
            "hidden_size": 64,
            "intermediate_size": 4096,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "vocab_size": 10,
        }
    )
    full = operations_per_token(setup(8, AdapterSection(method="full"), False, shape)) / shape.active_parameters
    lora = operations_per_token(setup(8, AdapterSection(r=1), False, shape)) / shape.active_parameters
    assert full == pytest.approx(6, rel=0.03)
    assert lora == pytest.approx(4, rel=0.03)
    again = operations_per_token(setup(8, AdapterSection(r=1), True, shape)) / shape.active_parameters
    assert again == pytest.approx(6, rel=0.03)
    last = operations_per_token(setup(8, AdapterSection(method="freeze", last_layers=1), False, shape))
    assert last / shape.active_parameters == pytest.approx(2 + 4 / 4, rel=0.03)


def test_small_batches_are_bound_by_reading_weights():
    slow, fast = (projected_speed(setup(tokens), 8, 1e15, 1e9, PRICES) for tokens in (1, 1000))
    assert slow.expected == pytest.approx(0.7e9 / bytes_per_token(setup(1), 8))
    assert fast.expected > 50 * slow.expected
    assert slow.low == slow.high


def test_what_does_not_fit_is_projected_with_the_change_that_makes_it_fit():
    schedule = Schedule(8000, 1, 8000, 0, 1)
    small, large = (
        project_on(setup(8000, recompute=False), schedule, DEVICES[name], PRICES)
        for name in ("NVIDIA L4", "NVIDIA H200 SXM")
    )
    assert small.fits
    assert small.how == "all of these together: training.gradient_checkpointing: true, model.quantization: int8"
    assert small.memory_bytes <= small.device_bytes == 24e9
    assert (large.fits, large.how) == (True, "as it is")
    tiny = DEVICES["NVIDIA L4"].model_copy(update={"memory": 4})
    none = project_on(setup(8000, AdapterSection(method="full")), schedule, tiny, PRICES)
    assert (none.fits, none.how) == (False, "does not fit")


def test_energy_and_money_follow_the_time():
    found = project_on(setup(1024), Schedule(8192, 1, 8192, 0, 1), DEVICES["NVIDIA A100 80GB"], PRICES)
    hours = found.seconds.expected / 3600
    assert found.kilowatt_hours == pytest.approx(0.4 * hours)
    assert found.cost.expected == pytest.approx(2.74 * hours)
    assert isinstance(found.cost, Range)


def test_however_fast_a_device_is_a_step_takes_its_time():
    fast = projected_speed(setup(1000), 1000, 1e18, 1e18, PRICES)

    assert fast.low == fast.high == pytest.approx(1000 / PRICES.least_seconds_a_step)
