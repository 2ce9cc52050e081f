import json
import re

import pytest

import luthier
from luthier.core.errors import DatasetError, RecipeError
from luthier.core.generation import GenerationRequest, complete
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator


def _open(shop, *overrides, reporter=None):
    return luthier.open_project(shop, overrides=overrides, reporter=reporter)


@pytest.mark.parametrize(
    ("loss", "adapter"),
    [
        ("dpo", {}),
        ("dpo", {"init_lora_weights": "pissa"}),
        ("dpo", {"method": "full"}),
        ("orpo", {"method": "ia3"}),
        ("orpo", {"method": "full"}),
        ("kto", {"use_dora": True}),
        ("kto", {"method": "freeze", "last_layers": 1}),
    ],
    ids=str,
)
def test_every_method_learns_what_people_prefer(rated_shop, loss, adapter):
    overrides = [f"adapter.{name}={value}" for name, value in adapter.items()]
    overrides += [f"training.preference_loss={loss}", "training.num_train_epochs=3", "training.eval_steps=5"]
    with _open(rated_shop, *overrides) as project:
        luthier.plan(project)
        trained = luthier.train(project)
        curves = json.loads((trained.path / "curves.json").read_text())
        figures = trained.figures
        assert figures["unmoved_weights"] == 0
        assert figures["validation"] == {
            name: value
            for point in curves["validation"]
            if point["step"] == figures["kept_step"]
            for name, value in point.items()
            if name != "step"
        }
        assert figures["validation"].keys() == {"loss", "accuracy", "margin"}
        assert figures["validation"]["accuracy"] > 0.8
        assert figures["validation_loss"] == figures["validation"]["loss"] < curves["train"][0]["loss"]


def test_a_run_on_preferences_is_evaluated_and_answers(rated_shop):
    with _open(rated_shop, "training.num_train_epochs=3", "evaluation.gates.accuracy=0.5") as project:
        trained = luthier.train(project)
        found = luthier.evaluate(project, trained.run).to_json()
        before, after = (found[side]["preference_margin"] for side in ("reference_metrics", "metrics"))
        assert after["value"] > before["value"]
        accuracy = found["metrics"]["preference_accuracy"]
        assert accuracy["low"] < accuracy["value"] <= accuracy["high"]
        assert "accuracy" in [gate["gate"] for gate in found["gates"]]
        assert "test_loss" in found["metrics"]
        question = GenerationRequest(trained.run, ({"role": "user", "content": "Where is it?"},), max_new_tokens=4)
        assert len(complete(RunsGenerator(project, open_base(project)), [question])) == 1


def test_rows_that_are_left_out_are_told(rated_shop, reporter):
    with _open(rated_shop, "training.num_train_epochs=1", reporter=reporter) as project:
        luthier.check(project)
        rows = luthier.train(project).figures["rows"]
        splits = luthier.prepare(project).splits
    [told] = [line for line in reporter.said if "no rejected answer: dpo leaves them out, kto takes both" in line]
    assert splits["train"] - rows <= int(told.split()[0]) <= splits["train"] - rows + splits["validation"]


def test_how_many_answers_were_liked_is_told(rated_shop, reporter):
    overrides = ("training.preference_loss=kto", "training.num_train_epochs=1")
    with _open(rated_shop, *overrides, reporter=reporter) as project:
        luthier.train(project)
    [told] = [line for line in reporter.said if "answers were liked" in line]
    liked, others = (int(number) for number in re.findall(r"\d+", told))
    assert min(liked, others) >= 24  # one answer of each pair is on either side


def test_without_a_pair_dpo_has_nothing_to_learn(rated_shop):
    with _open(rated_shop, "data.sources=[{path: raw/thumbs.jsonl}]") as project:
        luthier.prepare(project)
        with pytest.raises(DatasetError, match="no training row has a token to learn"):
            luthier.train(project)


@pytest.mark.parametrize(
    ("shop", "override", "message"),
    [
        ("prepared_shop", "training.beta=0.2", "training.beta is for task preference, not chat"),
        ("prepared_shop", "training.preference_loss=kto", "training.preference_loss is for task preference, not chat"),
        ("rated_shop", "training.desirable_weight=2", "desirable_weight is for preference_loss kto, not dpo"),
    ],
)
def test_a_field_that_nothing_would_read_is_refused(request, shop, override, message):
    with pytest.raises(RecipeError, match=message), _open(request.getfixturevalue(shop), override):
        pass
