import json
import math

import pytest
import yaml
from safetensors.torch import load_file

import luthier
from luthier.core.errors import TrainingError
from luthier.core.generation import GenerationRequest, complete
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator
from luthier.training import CausalObjective


def test_the_run_keeps_all_that_it_was_made_of(trained_once):
    prepared, trained, _ = trained_once
    names = sorted(path.name for path in trained.path.iterdir())
    assert names == ["adapter", "curves.json", "curves.png", "recipe.yaml", "run.json"]
    saved = json.loads((trained.path / "run.json").read_text())
    assert saved == {"run": trained.run, **trained.figures}
    recipe = yaml.safe_load((trained.path / "recipe.yaml").read_text())
    assert recipe == prepared.recipe.model_dump(mode="json")
    entry = prepared.registry.entry(trained.run)
    dataset, base = entry.artefact.parents
    assert (dataset.partition("-")[0], base.partition("-")[0]) == ("dataset", "base")
    assert entry.artefact.summary["base"] == base
    assert entry.environment["git"] is None
    config = json.loads((trained.path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"].endswith("tiny-llama")
    assert (config["r"], config["lora_alpha"]) == (16, 32)


def test_figures_agree_with_the_curves(trained_once):
    prepared, trained, _ = trained_once
    curves = json.loads((trained.path / "curves.json").read_text())
    figures = trained.figures
    assert [point["step"] for point in curves["train"]] == list(range(1, figures["steps"] + 1))
    epoch = figures["steps"] // figures["epochs"]
    assert figures["epochs"] == prepared.recipe.training.num_train_epochs == 4
    assert figures["train_loss"] == pytest.approx(sum(point["loss"] for point in curves["train"][-epoch:]) / epoch)
    best = min(curves["validation"], key=lambda point: point["loss"])
    assert (figures["validation_loss"], figures["kept_step"]) == (best["loss"], best["step"])
    assert [point["step"] for point in curves["validation"]] == [10, 20, figures["steps"]]
    assert figures["rows"] == luthier.prepare(prepared).splits["train"]


def test_progress_tells_loss_speed_and_time_left(trained_once):
    _, trained, reporter = trained_once
    told = [step for step in reporter.steps if step[0] == "training"]
    assert [done for _, done, _, _ in told] == list(range(1, trained.figures["steps"] + 1))
    assert {total for _, _, total, _ in told} == {trained.figures["steps"]}
    assert all(" tokens/s, " in detail and detail.startswith("loss ") for *_, detail in told)
    assert "validation loss" in told[-1][3]
    [summary] = [line for line in reporter.said if "weights train" in line]
    assert "fast path on" in summary


def test_the_same_seed_gives_the_same_weights(prepared_shop, evaluated_shop):
    adapters = []
    for shop, overrides in ((prepared_shop, []), (evaluated_shop, []), (prepared_shop, ["training.seed=1"])):
        with luthier.open_project(shop, overrides=["training.num_train_epochs=1", *overrides]) as project:
            adapters.append(load_file(luthier.train(project).path / "adapter" / "adapter_model.safetensors"))
    first, again, other = adapters
    assert all(bool((first[name] == again[name]).all()) for name in first)
    assert any(bool((first[name] != other[name]).any()) for name in first)


def test_the_last_weights_can_be_kept(prepared_shop):
    overrides = ["training.load_best_model_at_end=false", "training.early_stopping_patience=null"]
    with luthier.open_project(prepared_shop, overrides=overrides) as project:
        trained = luthier.train(project)
    curves = json.loads((trained.path / "curves.json").read_text())
    assert trained.figures["kept_step"] == trained.figures["steps"]
    assert trained.figures["validation_loss"] == curves["validation"][-1]["loss"]


def test_curves_and_figures_are_plain_json_whatever_a_validation_gives(prepared_shop, command, monkeypatch):
    monkeypatch.setattr(CausalObjective, "validation", lambda *_: {"loss": math.nan, "margin": math.inf})
    assert "margin" in command(prepared_shop, "train", "-o", "training.load_best_model_at_end=false").out
    with luthier.open_project(prepared_shop) as project:
        [run] = project.registry.list("run")
        folder, figures = prepared_shop / run.artefact.path, run.artefact.summary
    for name in ("curves.json", "run.json"):
        content = json.loads((folder / name).read_text(), parse_constant=pytest.fail)
        assert "validation" in content
    assert figures["validation_loss"] is None
    assert figures["validation"] == {"loss": None, "margin": None}


def test_early_stopping_ends_the_bar(prepared_shop, reporter):
    overrides = ["training.eval_steps=1", "training.early_stopping_patience=1", "training.learning_rate=0.5"]
    overrides.append("training.health=off")  # so high a rate is refused
    with luthier.open_project(prepared_shop, overrides=overrides, reporter=reporter) as project:
        trained = luthier.train(project)
    assert trained.figures["stopped_early"] is True
    _, done, total, _ = reporter.steps[-1]
    assert done == total > trained.figures["steps"]


def test_there_is_nothing_to_resume(prepared):
    with pytest.raises(TrainingError, match="there is nothing to resume: no training was interrupted"):
        luthier.train(prepared, resume=True)


@pytest.mark.parametrize("adapter", [{"use_dora": True}, {"init_lora_weights": "pissa", "use_rslora": True}], ids=str)
def test_kinds_of_adapters_are_trained_and_answer(prepared, adapter):
    overrides = [f"adapter.{name}={value}" for name, value in adapter.items()]
    overrides += ["training.num_train_epochs=1", "training.loraplus_lr_ratio=4"]
    with luthier.open_project(prepared.workspace.root, overrides=overrides) as project:
        trained = luthier.train(project)
        assert trained.figures["fast_path"] == "on"
        assert trained.figures["shares_prefixes"]
        assert trained.figures["unmoved_weights"] == 0
        luthier.evaluate(project, trained.run)


@pytest.mark.parametrize(
    ("adapter", "folder"),
    [
        ({"method": "lora", "quantization": "int8"}, "adapter"),
        ({"method": "full", "optim": "adamw_8bit"}, "model"),
        ({"method": "full", "dtype": "float16"}, "model"),
        ({"method": "freeze", "last_layers": 1}, "model"),
        ({"method": "ia3"}, "adapter"),
        ({"bias": "lora_only"}, "adapter"),
    ],
    ids=str,
)
def test_every_method_is_trained_evaluated_and_answers(prepared, adapter, folder):
    sections = {"quantization": "model", "dtype": "model", "optim": "training"}
    overrides = [f"{sections.get(name, 'adapter')}.{name}={value}" for name, value in adapter.items()]
    overrides += ["training.num_train_epochs=1", "training.learning_rate=5e-3"]
    with luthier.open_project(prepared.workspace.root, overrides=overrides) as project:
        luthier.plan(project)
        trained = luthier.train(project)
        assert {path.name for path in trained.path.iterdir() if path.is_dir()} == {folder}
        assert trained.figures["unmoved_weights"] == 0
        evaluated = luthier.evaluate(project, trained.run)
        [found] = [metric for name, metric in evaluated.to_json()["metrics"].items() if name == "validation_loss"]
        assert found["value"] == pytest.approx(trained.figures["validation_loss"], rel=1e-3)
        answers = complete(
            RunsGenerator(project, open_base(project)),
            [_question(trained.run), _question(project.registry.get(trained.run).parents[1]), _question(trained.run)],
        )
        assert answers[0] == answers[2]


def _question(model):
    return GenerationRequest(model, ({"role": "user", "content": "Where is my parcel?"},), max_new_tokens=8)


def test_where_memory_is_small_batches_are_smaller_and_layers_recomputed(prepared, reporter, monkeypatch):
    brief = ["training.num_train_epochs=1"]
    with luthier.open_project(prepared.workspace.root, overrides=brief, reporter=reporter) as project:
        _assert_smaller_batches(project, reporter, monkeypatch)


def _assert_smaller_batches(prepared, reporter, monkeypatch):
    plenty = luthier.train(prepared).figures
    said = []
    for free in (3_000_000, 1_000_000):
        monkeypatch.setattr("luthier.pipeline.train.free_memory", lambda free=free: free)
        reporter.said.clear()
        little = luthier.train(prepared).figures
        said.append([line for line in reporter.said if "forward passes of" in line or "computed once more" in line])
        assert little["train_loss"] == pytest.approx(plenty["train_loss"], abs=1e-4)
        assert little["tokens"] == plenty["tokens"]
    assert [len(lines) for lines in said] == [1, 2]
    monkeypatch.setattr("luthier.pipeline.train.free_memory", lambda: 300_000)
    with pytest.raises(TrainingError, match=r"^data\.max_length: the longest row, \d+ tokens, does not fit"):
        luthier.train(prepared)


def test_moments_in_bytes_are_told_and_planned(prepared_shop, reporter):
    overrides = ["training.optim=adamw_8bit", "training.num_train_epochs=1", "training.loraplus_lr_ratio=4"]
    with luthier.open_project(prepared_shop, overrides=overrides, reporter=reporter) as project:
        planned = luthier.plan(project).figures.memory
        trained = luthier.train(project)
    assert any("moments in bytes (adamw_8bit), fast path on" in line for line in reporter.said)
    assert planned.optimiser == pytest.approx(planned.gradients / 4 * 2.03, rel=0.01)
    assert trained.figures["unmoved_weights"] == 0


def test_recomputing_can_be_asked_for(prepared_shop, reporter):
    with luthier.open_project(
        prepared_shop,
        overrides=["training.gradient_checkpointing=true", "training.num_train_epochs=1"],
        reporter=reporter,
    ) as project:
        luthier.train(project)
    assert any("computed once more" in line for line in reporter.said)


def test_a_training_that_changes_nothing_fails(prepared, monkeypatch):
    monkeypatch.setattr("luthier.training.loop.set_learning_rate", lambda optimizer, _: _stop(optimizer))
    with pytest.raises(TrainingError, match="no weight has changed: nothing was learnt"):
        luthier.train(prepared)
    assert luthier.list_artefacts(prepared, "run") == []


def _stop(optimizer):
    for group in optimizer.param_groups:
        group["lr"] = 0.0
