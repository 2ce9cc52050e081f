import json
import math
from pathlib import Path

import pytest

from luthier.core.recipe import AdapterSection, TrainingSection
from luthier.planning.memory import Way
from luthier.planning.proposal import propose
from luthier.planning.setup import Setup
from luthier.planning.shape import ModelShape
from luthier.planning.trained import trained_by
from luthier.planning.workload import Workload

SIZES = json.loads(Path(__file__).with_name("smollm2_135m.json").read_text())


def proposed(rows=2000, target_share=0.3, adapter=None, free=64e9, sizes=SIZES, length=120, **training):
    adapter, settings = adapter or AdapterSection(), TrainingSection(**training)
    shape = ModelShape.of(sizes)
    workload = Workload.of([length] * rows, int(rows * length * target_share), 0, "made up")
    _, forward = workload.steps(settings, 1024)
    setup = Setup(shape, trained_by(shape, adapter), Way("bfloat16"), forward, 16)
    return {one.field: one for one in propose(setup, workload, adapter, settings, int(free))}


def test_every_proposal_has_a_reason_and_says_what_stands_there():
    found = proposed(learning_rate=3e-3)
    assert found["training.learning_rate"].now == 3e-3
    assert all(one.reason for one in found.values())
    assert set(found) == {
        *("adapter.method", "adapter.r", "training.learning_rate", "training.num_train_epochs"),
        *("training.per_device_train_batch_size", "training.gradient_accumulation_steps", "training.eval_steps"),
    }


def test_the_learning_rate_is_that_of_the_published_fit():
    """5e-4 (2000 / 576) ^ 0.781 = 1.3e-3, of all weights a tenth, of Qwen 5e-4 (2000 / 576) ^ 0.0775."""
    assert proposed()["training.learning_rate"].value == 1.3e-3
    assert proposed(adapter=AdapterSection(method="full"))["training.learning_rate"].value == 1.3e-4
    assert proposed(sizes=SIZES | {"model_type": "qwen3"})["training.learning_rate"].value == 5.5e-4
    assert proposed(adapter=AdapterSection(method="ia3"))["training.learning_rate"].value == 3e-3


@pytest.mark.parametrize(("rows", "rank"), [(2000, 16), (300_000, 64), (1_000_000, 128)])
def test_the_rank_grows_with_what_there_is_to_learn(rows, rank):
    """Rank 1 has 305,280 weights; 36 target tokens a row."""
    assert proposed(rows)["adapter.r"].value == rank


def test_plain_text_without_end_wants_all_weights_where_they_fit():
    assert proposed(200_000, 1.0)["adapter.method"].value == "full"
    assert proposed(200_000, 1.0, free=2e9)["adapter.method"].value == "lora"
    assert proposed(2_000, 1.0)["adapter.method"].value == "lora"


@pytest.mark.parametrize(("rows", "epochs"), [(10, 16), (100, 10), (2000, 3)])
def test_few_rows_are_read_more_often(rows, epochs):
    assert proposed(rows)["training.num_train_epochs"].value == epochs


def test_a_step_is_as_large_as_the_number_of_steps_allows_and_dealt_so_that_it_fits():
    few, many = proposed(500), proposed(100_000)
    assert few["training.per_device_train_batch_size"].value == 1
    assert many["training.per_device_train_batch_size"].value == 16
    tight = proposed(100_000, free=8e9)
    at_once = tight["training.per_device_train_batch_size"].value
    assert 1 < at_once < 16
    assert at_once * tight["training.gradient_accumulation_steps"].value == 16
    steps = math.ceil(100_000 * 120 * 3 / (16 * 1024))
    assert many["training.eval_steps"].value == pytest.approx(steps / 12, abs=5)
