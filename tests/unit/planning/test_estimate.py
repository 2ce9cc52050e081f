import json
from dataclasses import replace

from luthier.planning.duration import Range, Schedule
from luthier.planning.estimate import Machine, TrainingSetup, estimate
from luthier.planning.memory import ModelShape
from luthier.planning.sufficiency import DataNeed

SHAPE = ModelShape(134_515_008, 30, 576, 1536, 192, 49_152)
SETUP = TrainingSetup(
    dtype="bfloat16",
    r=16,
    trained_parameters=4_884_480,
    tokens_per_forward=2_048,
    logit_tokens=2_048,
    data=DataNeed(True, "enough"),
)
SCHEDULE = Schedule(60_000, 6, 2_048, 5_000, 50)
SPEED = Range(400, 500, 600)


def plan(setup=SETUP, schedule=SCHEDULE, memory=16e9, price=0.0):
    return estimate(SHAPE, setup, schedule, SPEED, Machine(int(memory), price))


def test_json_has_the_stable_fields():
    fields = json.loads(json.dumps(plan(price=3.6).to_json()))
    assert fields["memory_bytes"] == sum(fields["memory"].values())
    assert fields["seconds"]["expected"] == (360_000 + 4 * 5_000 / 2) / 500
    assert fields["cost"]["expected"] == fields["seconds"]["expected"] / 1000
    assert fields["data"]["enough"] is True
    assert fields["advice"] == ["Training needs about 5.3 GB of memory; 16.0 GB are free: it fits."]


def test_what_does_not_fit_is_told_how_many_tokens_would_and_they_do():
    first, second = plan(memory=3e9).advice
    assert first.endswith("it does not fit.")
    tokens = int(second.removeprefix("It fits with at most ").split()[0].replace(",", ""))
    fitting = replace(SETUP, tokens_per_forward=tokens, logit_tokens=tokens)
    assert 900 < tokens < 1024
    assert plan(fitting, memory=3e9).advice[0].endswith("it fits.")
    above = replace(SETUP, tokens_per_forward=tokens + 2, logit_tokens=tokens + 2)
    assert plan(above, memory=3e9).advice[0].endswith("it does not fit.")


def test_half_precision_is_named_where_it_helps():
    advice = plan(replace(SETUP, dtype="float32"), memory=1.2e9).advice
    assert "With model.dtype bfloat16 the weights take 0.3 GB less: on a processor that multiplies it." in advice


def test_what_fits_with_no_batch_says_so():
    assert "No batch is small enough" in plan(memory=0.5e9).advice[-1]


def test_a_long_training_names_the_knob_and_what_it_saves():
    advice = plan(schedule=replace(SCHEDULE, tokens_per_epoch=1_000_000)).advice
    assert any("num_train_epochs) saves 0.6." in line for line in advice)
    single = plan(schedule=replace(SCHEDULE, tokens_per_epoch=6_000_000, num_train_epochs=1)).advice
    assert any("in a single epoch" in line for line in single)


def test_frequent_validation_is_called_out():
    advice = plan(schedule=replace(SCHEDULE, eval_steps=1)).advice
    assert any("Validation takes 56% of the time: raise training.eval_steps from 1." in line for line in advice)
