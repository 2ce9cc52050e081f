"""`luthier check` in a workspace, and the checks that `luthier train` runs by itself."""

import json

import jsonschema
import pytest

import luthier
from luthier.core.errors import GateRefused
from luthier.pipeline.quick_checks import refuse_failed
from luthier.training import Finding

QUICK = (
    *("token_ids", "longest_row", "start_token", "end_token", "added_tokens", "round_trip", "loss_mask", "template"),
    *("trainable_weights", "zero_weights", "weight_sizes", "update_ratio"),
    *("first_loss", "activations", "gradient", "gradient_ratio", "labels", "end_loss"),
)


def test_findings_are_recorded(prepared, reporter):
    checked = luthier.check(prepared)
    assert [finding.check for finding in checked.findings] == [
        *("weights_readable", *QUICK),
        *("learning_rate", "overfit_rows", "reload", "servable"),
    ]
    by_name = {finding.check: finding for finding in checked.findings}
    assert by_name["first_loss"].verdict == "warn"  # random weights are hardly better than guessing
    assert by_name["end_loss"].verdict == "warn"  # nor do they know when an answer is over
    assert by_name["added_tokens"].verdict == "warn"  # transformers begins with zeros for padding, which is the end too
    assert by_name["gradient"].verdict == by_name["labels"].verdict == by_name["servable"].verdict == "pass"
    recorded = prepared.registry.get(checked.report)
    assert recorded.summary["verdict"] == checked.verdict
    assert {parent.partition("-")[0] for parent in recorded.parents} == {"base", "dataset"}
    assert reporter.steps[-1][:3] == ("learning a few rows by heart", 60, 60)
    assert "trying learning rates takes up to" in reporter.said[0]
    assert sum(checked.parts.values()) < checked.seconds
    assert 1e-5 < checked.suggested_learning_rate < 0.1
    assert list(prepared.workspace.state.glob("check-*")) == []


def test_learning_rates_are_tried_as_the_recipe_says(prepared_shop, monkeypatch, reporter):
    def check(asked):
        overrides = [f"training.find_learning_rate={asked}"]
        with luthier.open_project(prepared_shop, overrides=overrides, reporter=reporter) as project:
            return luthier.check(project)

    assert check("false").suggested_learning_rate is None
    monkeypatch.setattr("luthier.pipeline.check.RANGE_SECONDS", 0)
    assert check("auto").suggested_learning_rate is None
    assert "left out, training.find_learning_rate: true asks for it" in reporter.said[-1]
    assert check("true").suggested_learning_rate > 0


def test_training_begins_with_the_checks_that_cost_seconds(trained_once):
    _, trained, reporter = trained_once
    assert trained.figures["health"] == "warn"
    [line] = [text for text in reporter.said if " checks in " in text]
    assert line.startswith(f"{len(QUICK)} checks in ")
    assert any(text.startswith("  warning: first_loss is 5.7") for text in reporter.said)


def test_unsound_training_is_refused_and_can_be_insisted_on(command, prepared_shop):
    too_high = ["-o", "training.learning_rate=5", "-o", "training.num_train_epochs=1"]
    refused = command(prepared_shop, "train", *too_high)
    assert refused.code == 2
    for word in ("update_ratio is", "limit 1", "lower training.learning_rate", "training.health: off"):
        assert word in refused.err
    assert list((prepared_shop / ".luthier" / "runs").glob("*")) == []
    insisted = command(prepared_shop, "train", *too_high, "-o", "training.health=off", "--json")
    assert insisted.code == 0, insisted.err
    assert insisted.json["health"] is None


def test_checking_does_not_change_what_is_trained(prepared_shop):
    runs = set()
    for health in ("on", "off"):
        overrides = [f"training.health={health}", "training.num_train_epochs=1"]
        with luthier.open_project(prepared_shop, overrides=overrides) as project:
            runs.add(luthier.train(project).run)
    assert len(runs) == 1


def test_all_that_failed_is_named():
    findings = [Finding("first_loss", "fail", 12, 5.77, "wrong tokenizer"), Finding("gradient", "pass", 1, 2, "")]
    with pytest.raises(GateRefused, match=r"first_loss is 12, limit 5\.77: wrong tokenizer \(luthier check"):
        refuse_failed(findings)
    refuse_failed(findings[1:])


def test_json_is_as_its_schema_says(command, prepared_shop, check_schema):
    found = command(prepared_shop, "check", "--json").json
    jsonschema.validate(found, check_schema)
    assert set(check_schema["required"]) == set(check_schema["properties"]) == set(found)
    with pytest.raises(jsonschema.ValidationError, match="'parts' is a required property"):
        jsonschema.validate({name: value for name, value in found.items() if name != "parts"}, check_schema)


def test_figures_that_are_not_finite_are_null(prepared, check_schema):
    checked = luthier.check(prepared)
    broken = Finding("first_loss", "fail", float("nan"), float("inf"), "damaged")
    shown = type(checked)(checked.report, "fail", (broken,), 1.0, None, {"loading": 1.0}).to_json()
    jsonschema.validate(json.loads(json.dumps(shown, allow_nan=False)), check_schema)
    assert shown["findings"][0]["value"] is shown["findings"][0]["limit"] is None
