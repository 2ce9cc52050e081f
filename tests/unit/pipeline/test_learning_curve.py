"""What more data would bring, by small trainings."""

import json
from dataclasses import replace

import pytest
import yaml

import luthier
from luthier.core.errors import DatasetError
from luthier.pipeline import learning_curve as module
from luthier.pipeline.probe import probe


@pytest.fixture
def large_shop(prepared_shop, reporter):
    """A workspace with a few hundred rows."""
    places = ("Leeds", "York", "Bath", "Hull", "Ayr", "Ely", "Wick", "Rye", "Deal", "Bude")
    things = ("a chair", "a table", "a lamp", "a shelf", "a bed", "a desk", "a sofa", "a rug", "a mirror", "a stool")
    lines = [
        {"question": f"When does {thing} number {copy} come to {place}?", "answer": f"{thing} comes to {place} soon."}
        for copy in range(2)
        for place in places
        for thing in things
    ]
    (prepared_shop / "raw" / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = yaml.safe_load((prepared_shop / "luthier.yaml").read_text(encoding="utf-8"))
    recipe["data"]["clean"] = {"near_duplicates": None}
    recipe["training"] |= {"packing": False, "per_device_train_batch_size": 2}
    recipe["planning"] = {"learning_curve": "quarter"}
    (prepared_shop / "luthier.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    with luthier.open_project(prepared_shop, reporter=reporter) as project:
        luthier.prepare(project)
        yield project


def test_small_trainings_forecast_what_all_rows_bring(large_shop, reporter):
    planned = luthier.plan(large_shop)
    curve = planned.figures.data.curve
    rows = planned.workload.rows
    assert [point.rows for point in curve.points] == [rows // 16, rows // 16, rows // 8, rows // 4]
    assert curve.points[0].loss != curve.points[1].loss
    assert curve.points[3].loss < curve.points[0].loss
    assert planned.figures.data.forecast.startswith(f"On all {rows} rows the loss should be ")
    assert any("4 trainings on parts of the rows, about " in line for line in reporter.said)
    assert list(large_shop.workspace.state.glob("curve-*")) == []


def test_what_is_announced_leaves_out_the_checks_that_are_not_made(large_shop, reporter, monkeypatch):
    def slow_to_set_up(*arguments):
        found = probe(*arguments)
        return replace(found, around=replace(found.around, setup_seconds=1000.0), check_seconds=700.0)

    def not_trained(*_):
        raise DatasetError("enough was said")

    monkeypatch.setattr("luthier.pipeline.plan.probe", slow_to_set_up)
    monkeypatch.setattr("luthier.pipeline.plan.learning_curve", not_trained)
    with pytest.raises(DatasetError, match="enough was said"):
        luthier.plan(large_shop)
    assert reporter.said[-1] == "4 trainings on parts of the rows, about 20 minutes"


def test_half_of_the_rows_is_one_training_more():
    assert (module.trainings("quarter"), module.trainings("half")) == (4, 5)
    assert module.share_of_rows("half") - module.share_of_rows("quarter") == 0.5


def test_too_few_rows_are_told(prepared_shop):
    overrides = ["planning.learning_curve=quarter"]
    with (
        luthier.open_project(prepared_shop, overrides=overrides) as project,
        pytest.raises(DatasetError, match="a learning curve needs at least 128 training rows; there are 42"),
    ):
        luthier.plan(project)
