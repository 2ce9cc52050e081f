import json

import pytest

from luthier.core.errors import EvaluationError
from luthier.core.recipe import GatesSection
from luthier.evaluation.assessment import assess, measure
from luthier.evaluation.diagnosis import diagnose
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import Measured
from luthier.evaluation.losses import RowLoss

GATES = GatesSection(loss="no_worse")


def measured(model, loss=2.0, recalled=True):
    rows = [RowLoss(f"row-{index}", loss * 10, 10) for index in range(20)]
    answers = [AnswerScore("Where?", ("Porto",), "Porto." if recalled else "Rome.", recalled, (), not recalled)]
    return Measured(model, test=rows, validation=rows[:3], answers=answers)


def test_both_models_stand_side_by_side():
    found = assess(GATES, measured("run-1", 1.0), measured("base-1", recalled=False))
    assert (found.candidate, found.reference, found.verdict) == ("run-1", "base-1", "inconclusive")
    assert (found.metrics["test_loss"].value, found.reference_metrics["test_loss"].value) == (1.0, 2.0)
    assert found.metrics["test_perplexity"].value == pytest.approx(2.718, abs=1e-3)
    assert (found.metrics["never_stopped"].value, found.reference_metrics["never_stopped"].value) == (0.0, 1.0)
    assert list(found.metrics) == [
        "validation_loss",
        "validation_perplexity",
        "test_loss",
        "test_perplexity",
        "facts_recalled",
        "facts_wrong",
        "never_stopped",
    ]


def test_what_was_not_measured_has_no_metric():
    assert measure(Measured("run-1")) == {}


def test_json_has_the_stable_fields():
    found = assess(GATES, measured("run-1", 1.0), measured("base-1"))
    fields = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert fields["evaluation"] == found.id
    assert fields["verdict"] == "inconclusive"
    assert fields["metrics"]["test_loss"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert [sorted(gate) for gate in fields["gates"]] == [["gate", "reason", "verdict"]]
    answer = json.loads(json.dumps(found.answers_json()))[0]
    assert (answer["question"], answer["expected"], answer["candidate"]["answer"]) == ("Where?", ["Porto"], "Porto.")


def test_the_id_is_made_of_figures_and_answers():
    found = assess(GATES, measured("run-1"), measured("base-1"))
    assert found.id == assess(GATES, measured("run-1"), measured("base-1")).id
    assert found.id != assess(GATES, measured("run-2"), measured("base-1")).id
    other = Measured(
        "run-1",
        measured("").test,
        measured("").validation,
        [AnswerScore("Where?", ("Porto",), "In Porto.", True, (), False)],
    )
    assert found.id != assess(GATES, other, measured("base-1")).id


def test_models_with_other_questions_are_refused():
    other = Measured("base-1", measured("").test, answers=[AnswerScore("When?", ("1987",), "", False, (), False)])
    with pytest.raises(EvaluationError, match="run-1 and base-1 did not answer the same questions"):
        assess(GATES, measured("run-1"), other)


def test_the_diagnosis_of_the_training_is_part_of_it():
    curve = [{"step": step, "loss": 2.0} for step in range(1, 30)]
    found = assess(GATES, measured("run-1"), measured("base-1"), diagnose(curve, []))
    assert found.to_json()["diagnosis"]["state"] == "underfitting"
    assert assess(GATES, measured("run-1"), measured("base-1")).to_json()["diagnosis"] is None
