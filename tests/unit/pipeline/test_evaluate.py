import json
import re
import shutil

import pytest

import luthier
from luthier.core.errors import EvaluationError, GateRefused, RegistryError

BRIEFLY = ["training.seed=9", "training.num_train_epochs=1"]
"""Of another run than the one that is there."""


def test_before_any_release_the_base_model_is_the_reference(evaluated):
    found = luthier.evaluate(evaluated)
    base = evaluated.registry.latest("base").id
    assert found.assessment.reference == base
    assert found.run == evaluated.registry.latest("run").id
    assert evaluated.registry.get(found.assessment.id).parents == (found.run, base)
    assert found.assessment.metrics["test_loss"].value < found.assessment.reference_metrics["test_loss"].value


def test_the_released_run_is_the_reference_of_the_next(evaluated, judge):
    first = evaluated.registry.latest("run").id
    judge(evaluated, first, "pass")
    luthier.promote(evaluated)
    assert luthier.evaluate(evaluated, first).assessment.reference.startswith("base-"), "not itself"
    with luthier.open_project(evaluated.workspace.root, overrides=BRIEFLY) as other:
        second = luthier.train(other).run
    found = luthier.evaluate(evaluated)
    assert (found.run, found.assessment.reference) == (second, first)


def test_rows_that_the_reference_has_learnt_are_left_out(evaluated, judge):
    first = evaluated.registry.latest("run")
    judge(evaluated, first.id, "pass")
    luthier.promote(evaluated)
    overrides = ["data.split.seed=3", "training.num_train_epochs=1"]
    with luthier.open_project(evaluated.workspace.root, overrides=overrides) as other:
        luthier.prepare(other)
        luthier.train(other)
        found = luthier.evaluate(other)
        held_out = {row.id for row in luthier.show_rows(other, None, "test", 1000)}
        learnt = {row.id for row in luthier.show_rows(other, first.parents[0], "train", 1000)}
    assert found.assessment.reference == first.id
    assert held_out & learnt, "the splits are the same, so that nothing is shown"
    [loss] = [gate for gate in found.assessment.gates if gate.gate == "loss"]
    assert re.search(r"(\d+) test rows", loss.reason + " 0 test rows")[1] == str(len(held_out - learnt))


def test_runs_of_another_base_model_are_refused(evaluated, tiny_model_folder, tmp_path):
    another = tmp_path / "another"
    shutil.copytree(tiny_model_folder, another)
    (another / "generation_config.json").write_text("{}")
    with (
        luthier.open_project(evaluated.workspace.root, overrides=[f"model.base={another}"]) as other,
        pytest.raises(EvaluationError, match=r"^model\.base: run-.* stands on base-.* is base-"),
    ):
        luthier.evaluate(other)


def test_report_figures_and_answers_are_written(evaluated, reporter):
    found = luthier.evaluate(evaluated)
    assert (found.path / "report.md").read_text(encoding="utf-8") == found.report()
    assert json.loads((found.path / "evaluation.json").read_text())["verdict"] == found.verdict == "inconclusive"
    answers = [json.loads(line) for line in (found.path / "answers.jsonl").read_text().splitlines()]
    assert [answer["question"] for answer in answers if answer["asked"] == "question"] == [
        f"Ely waits for {thing} until when?" for thing in ("delivery", "a refund", "the warranty", "an exchange")
    ]
    replies = [answer for answer in answers if answer["asked"] == "test row"]
    test_rows = luthier.show_rows(evaluated, None, "test", 1000)
    assert {reply["row"] for reply in replies} == {row.id for row in test_rows if row.messages}
    assert sum(answer["asked"] == "skill" for answer in answers) == 60
    assert sum(answer["asked"] == "otherwise" for answer in answers) == 4 * 8
    assert sum(answer["asked"] == "again" for answer in answers) == 4
    both = sum(answer["asked"] in ("question", "test row", "skill") for answer in answers)
    asked = [(done, total) for step, done, total, _ in reporter.steps if step.endswith(f" and {found.run}")]
    total = 2 * both + 4 * 8 + 4 * 4
    assert asked == [(done + 1, total) for done in range(total)], "all is asked at once"
    page = found.page.read_text(encoding="utf-8")
    assert "Did it work?" in page
    assert "polyline" in page, "the curves are drawn"


def test_measuring_again_gives_the_same_evaluation(evaluated):
    before = evaluated.registry.latest("evaluation").id
    assert luthier.evaluate(evaluated).assessment.id == before


def test_without_questions_only_losses_are_measured(evaluated_shop):
    with luthier.open_project(evaluated_shop, overrides=["evaluation={gates: {loss: no_worse}}"]) as project:
        found = luthier.evaluate(project)
    assert "test_loss" in found.assessment.metrics
    assert not {"facts_recalled", "answer_seconds"} & set(found.assessment.metrics)
    assert found.assessment.answers == ()


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [(None, "cannot read the questions: No such file"), ("", "holds no questions"), ("{}", "line 1: field question")],
)
def test_questions_that_cannot_be_read(evaluated, evaluated_shop, lines, sentence):
    path = evaluated_shop / "golden.jsonl"
    path.unlink() if lines is None else path.write_text(lines)
    with pytest.raises(EvaluationError, match=sentence):
        luthier.evaluate(evaluated)


def test_there_is_no_run_yet(prepared):
    with pytest.raises(RegistryError, match="there is no run in this workspace yet"):
        luthier.evaluate(prepared)


def test_another_reference_can_be_named(evaluated, judge):
    first = evaluated.registry.latest("run").id
    judge(evaluated, first, "pass")
    luthier.promote(evaluated)
    base = evaluated.registry.latest("base").id
    with luthier.open_project(evaluated.workspace.root, overrides=BRIEFLY) as other:
        second = luthier.train(other).run
    assert luthier.evaluate(evaluated, second, against=base).assessment.reference == base
    with pytest.raises(GateRefused, match=f"{second} has no evaluation beside {first}"):
        luthier.promote(evaluated, second, force="it only beat the base model")


def test_what_is_no_model_is_no_reference(evaluated):
    dataset = evaluated.registry.latest("dataset").id
    with pytest.raises(EvaluationError, match=f"{dataset} is no model to compare with"):
        luthier.evaluate(evaluated, against=dataset)


def test_the_curves_of_the_run_are_read(evaluated):
    found = luthier.evaluate(evaluated).assessment.diagnosis
    assert found is not None
    assert found.state in ("still learning", "rate decayed", "converged", "overfitting", "underfitting"), found
    curves = evaluated.workspace.root / evaluated.registry.latest("run").path / "curves.json"
    content = json.loads(curves.read_text())
    content["validation"][-1]["loss"] = None  # JSON has no NaN
    curves.write_text(json.dumps(content))
    assert luthier.evaluate(evaluated).assessment.diagnosis.state == "diverged"
    curves.unlink()
    assert luthier.evaluate(evaluated).assessment.diagnosis is None


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"train": [], "validation": 3}',
        '{"train": [{"loss": "x"}]}',
        '{"train": [{"loss": 1}], "validation": []}',
    ],
)
def test_damaged_curves_are_one_sentence(evaluated, content):
    curves = evaluated.workspace.root / evaluated.registry.latest("run").path / "curves.json"
    curves.write_text(content)
    with pytest.raises(EvaluationError, match=r"curves\.json: the curves .* are damaged \(delete the file"):
        luthier.evaluate(evaluated)


def test_every_part_of_the_exam_is_measured(evaluated):
    metrics = luthier.evaluate(evaluated).assessment.metrics
    for name in (
        "test_bits_per_byte",
        "test_token_accuracy",
        "reply_chrf",
        "general_loss",
        "skill_json",
        "answer_seconds",
    ):
        assert name in metrics, name
    assert metrics["answer_seconds"].value > 0


def test_what_was_forgotten_is_told_beside_the_base_model_whatever_the_reference(evaluated, judge):
    first = evaluated.registry.latest("run").id
    judge(evaluated, first, "pass")
    luthier.promote(evaluated)
    with luthier.open_project(evaluated.workspace.root, overrides=BRIEFLY) as other:
        luthier.train(other)
    found = luthier.evaluate(evaluated).assessment
    assert found.reference == first
    assert found.forgetting is not None
    assert found.forgetting.base == evaluated.registry.latest("base").id


def test_questions_that_were_trained_on_are_refused(evaluated, evaluated_shop):
    leaked = json.dumps({"question": "How long does a refund take in York?", "facts": ["9 days"]})
    with (evaluated_shop / "golden.jsonl").open("a") as lines:
        lines.write(leaked + "\n")
    found = luthier.evaluate(evaluated).assessment
    [leakage] = [gate for gate in found.gates if gate.gate == "leakage"]
    assert (leakage.verdict, found.verdict) == ("fail", "fail")
    assert "question 5 is " in leakage.reason
    assert "like raw/chats.jsonl row " in leakage.reason
