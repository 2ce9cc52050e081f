import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from luthier.core.recipe import AdapterSection, BaseQuantization
from luthier.planning.choices import fitting_choices, memory_advice
from luthier.planning.duration import Around, Range, Schedule
from luthier.planning.estimate import Machine, estimate
from luthier.planning.memory import QUANTIZED, ForwardPass, Quantized, Way
from luthier.planning.setup import Setup
from luthier.planning.shape import ModelShape
from luthier.planning.sufficiency import DataNeed
from luthier.planning.trained import trained_by

SHAPE = ModelShape.of(json.loads(Path(__file__).with_name("smollm2_135m.json").read_text()))
SETUP = Setup(SHAPE, trained_by(SHAPE, AdapterSection()), Way("bfloat16"), ForwardPass(2_048, 1_024, 120), r=16)
SCHEDULE = Schedule(60_000, 6, 2_048, 5_000, 50)
SPEED = Range(400, 500, 600)


def plan(setup=SETUP, schedule=SCHEDULE, memory=16e9, price=0.0, around=None):
    return estimate(setup, schedule, SPEED, Machine(int(memory), price), DataNeed(True, "enough"), around)


def test_json_has_the_stable_fields():
    fields = json.loads(json.dumps(plan(price=3.6).to_json()))
    assert fields["memory_bytes"] == sum(fields["memory"].values())
    assert fields["seconds"]["expected"] == (360_000 + 4 * 5_000 / 2) / 500
    assert fields["cost"]["expected"] == fields["seconds"]["expected"] / 1000
    assert fields["data"]["enough"] is True
    assert fields["advice"] == ["Training needs about 3.4 GB of memory; 16.0 GB are free: it fits."]


def test_what_does_not_fit_is_told_how_many_tokens_would_and_they_do():
    first, second, *_ = memory_advice(SETUP, int(2e9))
    assert first.endswith("it does not fit.")
    tokens = int(second.removeprefix("It fits with at most ").split()[0].replace(",", ""))
    fitting = replace(SETUP, forward=SETUP.forward.scaled(tokens))
    assert 500 < tokens < 1500
    assert memory_advice(fitting, int(2e9))[0].endswith("it fits.")
    above = replace(SETUP, forward=SETUP.forward.scaled(tokens + 2))
    assert memory_advice(above, int(2e9))[0].endswith("it does not fit.")


@pytest.mark.parametrize(
    ("setup", "free", "choice"),
    [
        (SETUP, 1.7e9, "training.gradient_checkpointing: true"),
        (replace(SETUP, way=Way("float32")), 4.0e9, "model.dtype: bfloat16"),
        (replace(SETUP, trained=trained_by(SHAPE, AdapterSection(method="full"))), 3.6e9, "adapter.method: lora"),
        (replace(SETUP, way=Way("bfloat16", recompute=True)), 1.43e9, "model.quantization: int8"),
        (replace(SETUP, way=Way("bfloat16", "int8", recompute=True)), 1.38e9, "model.quantization: nf4"),
        (replace(SETUP, trained=trained_by(SHAPE, AdapterSection(method="full"))), 4.8e9, "training.optim: adamw_8bit"),
        (SETUP, 0.93e9, "all of these together"),
        (SETUP, 0.5e9, "No choice here makes it fit"),
    ],
)
def test_each_choice_is_named_where_it_makes_it_fit(setup, free, choice):
    first, *choices = memory_advice(setup, int(free))
    assert first.endswith("it does not fit.")
    assert any(choice in line for line in choices), choices


@pytest.mark.parametrize("refused", ["int8", "nf4"])
@pytest.mark.parametrize("free", [1.43e9, 0.5e9])
def test_nothing_is_advised_that_the_recipe_refuses(refused, free):
    others = tuple(name for name in ("int8", "nf4") if name != refused)
    setup = replace(SETUP, way=Way("bfloat16", recompute=True), quantizations=others)
    choices = fitting_choices(setup, int(free))
    assert not any(refused in text for text, _ in choices)
    assert all(changed.way.quantization != refused for _, changed in choices)


def test_every_way_to_keep_base_weights_in_fewer_bits_is_in_the_table(monkeypatch):
    assert set(QUANTIZED) == set(get_args(BaseQuantization))
    assert [one.bytes for one in QUANTIZED.values()] == sorted((one.bytes for one in QUANTIZED.values()), reverse=True)
    monkeypatch.setitem(QUANTIZED, "int2", Quantized(1 / 4, "which few can read"))
    setup = replace(SETUP, way=Way("bfloat16", "nf4", recompute=True), quantizations=tuple(QUANTIZED))
    free = replace(setup, way=replace(setup.way, quantization="int2")).memory.total
    choices = fitting_choices(setup, free)
    assert "model.quantization: int2, which few can read" in [text for text, _ in choices]
    assert not any("int8" in text or "nf4" in text for text, _ in choices), "more bits are no way to need less"


def test_of_quantizations_taken_one_after_the_other_the_last_is_named():
    one_row = replace(SETUP, forward=ForwardPass(2_048, 1_024, 2_048))
    smallest = replace(one_row, way=Way("bfloat16", "nf4", recompute=True, optim="adamw_8bit"))
    [(text, changed)] = fitting_choices(one_row, smallest.memory.total)
    assert text == (
        "all of these together: training.gradient_checkpointing: true, training.optim: adamw_8bit, "
        "model.quantization: nf4"
    )
    assert changed == smallest


def test_what_a_probe_found_counts():
    assert memory_advice(SETUP, int(4e9))[0].endswith("it fits.")
    assert memory_advice(SETUP, int(4e9), factor=2.0)[0].endswith("it does not fit.")


def test_a_long_training_names_the_knob_and_what_it_saves():
    advice = plan(schedule=replace(SCHEDULE, tokens_per_epoch=1_000_000)).advice
    assert any("num_train_epochs) saves 0.6." in line for line in advice)
    long_setup = plan(schedule=replace(SCHEDULE, tokens_per_epoch=1_000_000), around=Around(setup_seconds=7200)).advice
    assert any("takes about 5.4 hours; each epoch less (training.num_train_epochs) saves 0.6." in x for x in long_setup)
    single = plan(schedule=replace(SCHEDULE, tokens_per_epoch=6_000_000, num_train_epochs=1)).advice
    assert any("in a single epoch" in line for line in single)


def test_frequent_validation_is_called_out():
    advice = plan(schedule=replace(SCHEDULE, eval_steps=1)).advice
    assert any("Validation takes 56% of the time: raise training.eval_steps from 1." in line for line in advice)
