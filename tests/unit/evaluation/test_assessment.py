import json
import math
from dataclasses import replace

import pytest

from luthier.core.errors import EvaluationError
from luthier.core.generation import Completion
from luthier.core.recipe import GatesSection
from luthier.core.rows import RowLoss
from luthier.evaluation.assessment import Context, assess
from luthier.evaluation.diagnosis import diagnose
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import Leak
from luthier.evaluation.measured import Measured
from luthier.evaluation.replies import ReplyTask, score_reply
from luthier.evaluation.skills import SkillScore
from luthier.evaluation.steadiness import SampledScore, VariantScore

GATES = GatesSection(loss="no_worse")
NOTHING = Context()


def losses(loss, rows):
    return [RowLoss(f"row-{index}", loss * 10, 10, 5) for index in range(rows)]


def measured(model, loss=2.0, recalled=True, seconds=(), text="Porto."):
    answers = [AnswerScore("Where?", ("Porto",), text if recalled else "Rome.", recalled, (), not recalled, "places")]
    replies = [score_reply(ReplyTask("row-1", "Where?", "In Porto."), Completion(text, "stop", 5, 2))]
    skills = [SkillScore("JSON", f"Task {number}", "{}", recalled) for number in range(15)]
    return Measured(
        model, losses(loss, 20), losses(loss, 3), answers, replies, losses(loss, 12), skills, seconds=seconds
    )


def test_both_models_stand_side_by_side():
    found = assess(GATES, measured("run-1", 1.0), measured("base-1", recalled=False), NOTHING)
    assert (found.candidate, found.reference, found.verdict) == ("run-1", "base-1", "inconclusive")
    assert (found.metrics["test_loss"].value, found.reference_metrics["test_loss"].value) == (1.0, 2.0)
    assert found.differences["test_loss"].value == -1.0
    assert found.differences["facts_recalled"].value == 1.0
    assert (found.metrics["never_stopped"].value, found.reference_metrics["never_stopped"].value) == (0.0, 1.0)


@pytest.mark.parametrize("split", ["test", "validation", "general"])
@pytest.mark.parametrize("place", [0, 1])
def test_losses_that_are_no_numbers_are_counted_and_not_averaged(split, place):
    models = [measured("run-1"), measured("base-1")]
    broken = [RowLoss(row.row_id, math.nan if row.row_id < "row-2" else math.inf, 10, 5) for row in losses(1, 3)]
    rest = list(getattr(models[place], split))[3:]
    models[place] = replace(models[place], **{split: [*broken, *rest]})
    total = sum(len(rows) for rows in (models[place].test, models[place].validation, models[place].general))
    with pytest.raises(EvaluationError, match=f"^{models[place].model}: the loss of 3 of {total} rows is not a number"):
        assess(GATES, *models, NOTHING)


def test_json_has_the_stable_fields():
    found = assess(GATES, measured("run-1", 1.0), measured("base-1"), NOTHING)
    fields = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert fields["evaluation"] == found.id
    assert fields["verdict"] == "inconclusive"
    assert fields["metrics"]["test_loss"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert [sorted(gate) for gate in fields["gates"]] == [["gate", "reason", "verdict"]]
    question, reply, *tasks = json.loads(json.dumps(found.answers_json(), allow_nan=False))
    assert (question["asked"], question["question"], question["topic"]) == ("question", "Where?", "places")
    assert (question["expected"], question["candidate"]["answer"]) == (["Porto"], "Porto.")
    assert (reply["asked"], reply["row"], reply["expected"]) == ("test row", "row-1", "In Porto.")
    assert len(tasks) == 15
    assert (tasks[0]["asked"], tasks[0]["skill"], tasks[0]["candidate"]["passed"]) == ("skill", "JSON", True)


def test_the_id_is_made_of_figures_and_answers_but_not_of_times():
    def identity(*arguments, **more):
        return assess(GATES, measured(*arguments, **more), measured("base-1"), NOTHING).id

    assert identity("run-1") == identity("run-1")
    assert identity("run-1") != identity("run-2")
    assert identity("run-1") != identity("run-1", text="In Porto.")
    assert identity("run-1", seconds=(1.0, 2.0)) == identity("run-1", seconds=(1.5, 2.5))


@pytest.mark.parametrize("field", ["answers", "replies", "skills"])
def test_models_that_were_asked_other_things_are_refused(field):
    fields = {name: getattr(measured("base-1"), name) for name in Measured.__slots__} | {field: ()}
    with pytest.raises(EvaluationError, match="run-1 and base-1 did not answer the same"):
        assess(GATES, measured("run-1"), Measured(**fields), NOTHING)


def test_models_that_were_scored_on_other_rows_are_refused():
    with pytest.raises(EvaluationError, match="scored for one model only"):
        assess(GatesSection(loss=None), Measured("a", losses(1.0, 5)), Measured("b", losses(1.0, 6)), NOTHING)


def test_the_diagnosis_of_the_training_is_part_of_it():
    curve = [{"step": step, "loss": 2.0} for step in range(1, 30)]
    found = assess(GATES, measured("run-1"), measured("base-1"), Context(diagnosis=diagnose(curve, [])))
    assert found.to_json()["diagnosis"]["state"] == "underfitting"
    assert assess(GATES, measured("run-1"), measured("base-1"), NOTHING).to_json()["diagnosis"] is None


def test_what_was_forgotten_is_told_beside_the_base_model():
    run, released, base = measured("run-2", 3.0, recalled=False), measured("run-1", 3.0), measured("base-1", 2.0)
    found = assess(GATES, run, released, Context(base=base)).forgetting
    assert found is not None
    assert (found.base, found.rise.value, found.lost) == ("base-1", 1.0, ("JSON",))
    assert assess(GATES, run, released, NOTHING).forgetting is None


def test_leaks_decide_the_verdict():
    leak = Leak("question 3", "chats.jsonl row 9", 0.9)
    found = assess(GATES, measured("run-1", 1.0), measured("base-1"), Context(leaks=[leak]))
    assert found.verdict == "fail"
    assert "question 3 is 90% like chats.jsonl row 9" in found.gates[-1].reason


def test_ways_of_asking_are_told_of_the_candidate():
    variants = [VariantScore("Emily", f"{number}?", "", number < 5, True) for number in range(10)]
    sampled = [SampledScore(f"{number}?", ("€1", "€2"), 0.5, True) for number in range(10)]
    found = assess(GATES, Measured("run-1", variants=variants, sampled=sampled), Measured("base-1"), NOTHING)
    [result] = found.to_json()["variants"]
    assert (result["name"], result["questions"], result["difference"]["value"]) == ("Emily", 10, -0.5)
    told = json.loads(json.dumps(found.answers_json(), allow_nan=False))
    assert [one["asked"] for one in told] == ["otherwise"] * 10 + ["again"] * 10
    assert told[0]["candidate"] == {"answer": "", "recalled": True, "plainly": True}
    assert told[-1]["candidate"]["answers"] == ["€1", "€2"]
    assert (found.metrics["variants_turned"].value, found.metrics["samples_agree"].value) == (0.5, 0.5)
