import json
from dataclasses import replace

import pytest
import yaml

import luthier
from luthier.core.errors import ModelError, RecipeError
from luthier.core.recipe import Recipe
from luthier.pipeline.base import open_base
from luthier.pipeline.objectives import training_dataset
from luthier.pipeline.plan import possible_quantizations
from luthier.pipeline.probe import probe
from luthier.planning import default_prices
from luthier.training import TrainingState


def test_a_plan_is_measured_and_recorded(prepared, reporter):
    planned = luthier.plan(prepared)
    figures = planned.figures
    assert 0 < figures.seconds.low <= figures.seconds.expected <= figures.seconds.high
    adapter = 16 * sum_of_sides()
    assert figures.memory.weights == 4 * (sum_of_weights() + adapter)
    assert (figures.memory.gradients, figures.memory.optimiser) == (4 * adapter, 8 * adapter)
    assert figures.data.enough is False
    recorded = prepared.registry.get(planned.plan)
    assert recorded.summary["memory_bytes"] == figures.memory.total
    assert [step[1:3] for step in reporter.steps] == [(number, 6) for number in range(1, 7)]
    assert planned.measured
    assert planned.workload.rows == 42
    assert list(prepared.workspace.state.glob("probe-*")) == []


def test_fewer_epochs_save_no_time_of_what_happens_once(prepared):
    planned = luthier.plan(prepared)
    epochs = prepared.recipe.training.num_train_epochs
    assert planned.seconds_with(epochs) == planned.figures.seconds
    slow = replace(planned, around=replace(planned.around, setup_seconds=1000.0))
    assert slow.seconds_with(1).expected == pytest.approx(
        planned.seconds_with(1).expected + 1000 - planned.around.setup_seconds
    )


def test_a_probe_times_what_is_beside_the_steps_too(prepared):
    base = open_base(prepared)
    found = probe(prepared, base, training_dataset(prepared, base))
    assert found.steps == 6
    assert found.around.setup_seconds > 0
    assert found.around.save_seconds >= 0
    assert found.around.validation_tokens_per_second is None or found.around.validation_tokens_per_second > 0
    assert 0 < found.process_bytes <= found.set_up_bytes
    assert found.steps_bytes > 0
    assert not found.recomputes


@pytest.mark.parametrize(
    ("set_up", "steps", "total"), [(10**9, 3 * 10**9, 3 * 10**9), (10**9, 2**31, 2**31), (4 * 10**9, 10**9, 4 * 10**9)]
)
def test_memory_is_what_the_probe_has_seen(prepared, monkeypatch, set_up, steps, total):
    """The steps correct what grows with the batch, within limits; what was more before them counts as the process's."""

    def seen(*arguments):
        found = probe(*arguments)
        return replace(found, process_bytes=steps - 10**7, set_up_bytes=set_up, steps_bytes=steps)

    monkeypatch.setattr("luthier.pipeline.plan.probe", seen)
    planned = luthier.plan(prepared)
    assert planned.figures.memory.total == pytest.approx(total, rel=0.01)
    assert planned.figures.memory.runtime >= steps - 10**7
    elsewhere = max(machine.memory_bytes for machine in planned.machines if not machine.measured)
    assert elsewhere < 1.2 * 10**9, "a device has a runtime of its own"


def test_steps_that_warm_up_do_not_slow_the_forecast(prepared, monkeypatch):
    run = []

    def fit(training, _checkpoint, _resume, on_step):
        state = TrainingState()
        for step in training.schedule.steps:
            run.append(max(sum(map(len, batch)) for batch in step))
            tokens = sum(len(row) for batch in step for row in batch)
            state.tokens += tokens
            state.loop_seconds += tokens / (10 if len(run) <= 2 else 100)
            on_step(state)

    monkeypatch.setattr("luthier.pipeline.probe.fit", fit)
    base = open_base(prepared)
    found = probe(prepared, base, training_dataset(prepared, base))
    assert (found.tokens_per_second.low, found.tokens_per_second.high) == pytest.approx((100, 100))
    assert len(run) == found.steps == 6
    assert run[0] == max(sum(map(len, batch)) for step in found.training.schedule.steps for batch in step), (
        "what takes most memory comes first"
    )


def test_a_probe_knows_that_layers_are_computed_again(prepared_shop):
    with luthier.open_project(prepared_shop, overrides=["training.gradient_checkpointing=true"]) as project:
        base = open_base(project)
        assert probe(project, base, training_dataset(project, base)).recomputes


def test_pairs_of_answers_are_planned_for(rated_shop):
    with luthier.open_project(rated_shop) as project:
        planned = luthier.plan(project)
    assert planned.measured
    assert planned.figures.seconds.expected > 0


@pytest.mark.parametrize("task", ["causal_lm", "masked_lm"])
def test_plain_text_is_planned_for(prepared_shop, tiny_encoder_folder, task):
    overrides = [f"task={task}", "evaluation={}", "data.max_length=64"]
    if task == "masked_lm":
        overrides += [f"model.base={tiny_encoder_folder}", "adapter={method: full}"]
    with luthier.open_project(prepared_shop, overrides=overrides) as project:
        luthier.prepare(project)
        planned = luthier.plan(project)
    assert planned.measured
    assert planned.workload.rows > 10


def sum_of_weights():
    """Of the tiny Llama: embeddings (tied to the head), two layers, norms."""
    hidden, intermediate, vocabulary, key_values = 32, 64, 320, 16
    attention = 2 * hidden * hidden + 2 * hidden * key_values
    return vocabulary * hidden + 2 * (attention + 3 * hidden * intermediate + 2 * hidden) + hidden


def sum_of_sides():
    """Inputs and outputs of all matrices that get an adapter: r of it is the adapter's size."""
    return 2 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))


def test_a_plan_costs_what_the_machine_costs(prepared_shop):
    with luthier.open_project(prepared_shop, overrides=["planning.price_per_hour=7200"]) as project:
        figures = luthier.plan(project).figures
    electricity = 0.065 * 0.20 / 3600
    assert figures.cost.expected == pytest.approx((2 + electricity) * figures.seconds.expected)


@pytest.fixture
def shop_without_weights(prepared_shop):
    """A workspace whose base model is a folder with nothing but the configuration of a 7B model."""
    (prepared_shop / "large").mkdir()
    config = {
        "model_type": "qwen2",
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
        "tie_word_embeddings": False,
    }
    (prepared_shop / "large" / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return prepared_shop


def test_a_configuration_alone_is_planned_for_every_machine_of_the_price_table(shop_without_weights):
    with luthier.open_project(shop_without_weights, overrides=["model.base=large", "planning.assume={}"]) as project:
        planned = luthier.plan(project)
    assert not planned.measured
    assert planned.workload.source == "planning.assume"
    assert planned.figures.memory.total > 15e9
    prices = yaml.safe_load((shop_without_weights / "prices.yaml").read_text(encoding="utf-8"))
    assert [machine.name for machine in planned.machines] == [
        "this machine",
        *(device["name"] for device in prices["hardware"]),
    ]
    for machine in planned.machines[1:]:
        assert machine.fits
        assert 0 < machine.seconds.low <= machine.seconds.expected <= machine.seconds.high
        assert machine.cost.expected > 0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "config.json is not valid JSON: "),
        (b"\xff\xfe{}", "config.json is not valid JSON: "),
        (b"[" * 100_000, "config.json is not valid JSON: "),
        (b"[]", "config.json holds no fields"),
        (b'{"hidden_size": "large"}', "config.json's hidden_size is no size of a model"),
    ],
)
def test_a_configuration_that_is_none_is_told(shop_without_weights, content, sentence):
    (shop_without_weights / "large" / "config.json").write_bytes(content)
    with (
        luthier.open_project(shop_without_weights, overrides=["model.base=large", "planning.assume={}"]) as project,
        pytest.raises(ModelError, match=f"^model.base: {sentence}"),
    ):
        luthier.plan(project)


@pytest.mark.parametrize("base", ["~nobody-of-this-name/model", "n" * 300, "./" + "n" * 300])
def test_a_name_that_no_folder_can_have_is_no_model(prepared_shop, base):
    with (
        luthier.open_project(prepared_shop, overrides=[f"model.base={base}"]) as project,
        pytest.raises(ModelError, match="no base model"),
    ):
        luthier.plan(project)


def test_assumed_rows_take_no_memory(shop_without_weights):
    overrides = ["model.base=large", "planning.assume={rows: 1000000000000}"]
    with luthier.open_project(shop_without_weights, overrides=overrides) as project:
        workload = luthier.plan(project).workload
    assert (workload.rows, workload.tokens, workload.longest) == (10**12, 300 * 10**12, 300)


def test_without_an_assumption_the_newest_dataset_counts(shop_without_weights):
    with luthier.open_project(shop_without_weights, overrides=["model.base=large"]) as project:
        planned = luthier.plan(project)
        assert planned.workload.rows == 42
        assert "characters a token" in planned.workload.source


def test_a_learning_curve_without_weights_is_left_out_and_said(shop_without_weights, reporter):
    overrides = ["model.base=large", "planning.learning_curve=half"]
    with luthier.open_project(shop_without_weights, overrides=overrides, reporter=reporter) as project:
        assert luthier.plan(project).figures.data.curve is None
    assert any("the learning curve is left out" in line for line in reporter.said)


def test_what_is_proposed_can_be_written_into_the_recipe(prepared_shop):
    recipe = prepared_shop / "luthier.yaml"
    before = yaml.safe_load(recipe.read_text(encoding="utf-8"))
    recipe.write_text(f"# ours\n{recipe.read_text(encoding='utf-8')}", encoding="utf-8")
    with luthier.open_project(prepared_shop) as project:
        proposals = luthier.plan(project).proposals
        changed = luthier.write_proposals(recipe, proposals)
    assert {one.field for one in changed} == {one.field for one in proposals if one.value != one.now}
    text = recipe.read_text(encoding="utf-8")
    assert text.startswith("# ours\n")
    after = yaml.safe_load(text)
    assert after["training"]["num_train_epochs"] == 16
    assert after["data"] == before["data"]
    with luthier.open_project(prepared_shop) as project:
        assert luthier.write_proposals(recipe, luthier.plan(project).proposals[:3]) == []


def test_methods_and_the_offer_of_somebody_else_stand_beside_it(prepared):
    planned = luthier.plan(prepared)
    assert planned.methods[0].name == "full"
    assert planned.do_or_buy.buying is None
    assert planned.do_or_buy.doing > 10_000


def test_prices_are_the_workspaces_own(prepared_shop):
    own = yaml.safe_load(default_prices()) | {"currency": "EUR", "hardware": []}
    (prepared_shop / "prices.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    with luthier.open_project(prepared_shop) as project:
        planned = luthier.plan(project)
        assert (planned.currency, len(planned.machines)) == ("EUR", 1)
    with (
        luthier.open_project(prepared_shop, overrides=["planning.prices=other.yaml"]) as project,
        pytest.raises(RecipeError, match=r"there is no file other\.yaml"),
    ):
        luthier.plan(project)


def test_a_plan_changes_no_weight(prepared_shop):
    with luthier.open_project(prepared_shop, overrides=["training.num_train_epochs=1"]) as project:
        run = luthier.train(project).run
        luthier.plan(project)
        assert luthier.train(project).run == run


@pytest.mark.parametrize(
    ("more", "possible"),
    [
        ({}, ("int8", "nf4")),
        ({"adapter": {"bias": "all"}}, ("int8",)),
        ({"adapter": {"use_dora": True}}, ()),
        ({"adapter": {"method": "full"}}, ()),
        ({"training": {"sharding": "fsdp"}}, ()),
    ],
)
def test_only_what_the_recipe_allows_is_advised(prepared, more, possible):
    recipe = Recipe.model_validate({**prepared.recipe.model_dump(exclude_unset=True), **more})
    assert possible_quantizations(recipe) == possible
