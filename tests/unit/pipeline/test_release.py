import pytest

import luthier
from luthier.core.errors import GateRefused, RegistryError
from luthier.pipeline.release import released


@pytest.fixture
def run(evaluated):
    return evaluated.registry.latest("run").id


def test_a_run_that_passed_is_released(evaluated, run, judge):
    evaluation = judge(evaluated, run, "pass")
    promoted = luthier.promote(evaluated)
    assert (promoted.alias, promoted.run, promoted.evaluation, promoted.forced) == ("shop", run, evaluation, None)
    release = released(evaluated)
    assert release.id == promoted.release
    assert release.parents == (run, evaluation)
    assert release.summary["verdict"] == "pass"
    [change] = evaluated.registry.alias_history("shop")
    assert (change.target, change.previous, change.reason) == (
        release.id,
        None,
        f"the gates of {evaluation} passed",
    )


@pytest.mark.parametrize("verdict", ["fail", "inconclusive"])
def test_anything_else_is_refused_unless_forced(evaluated, run, judge, verdict):
    judge(evaluated, run, verdict, "Worse beyond chance.")
    with pytest.raises(GateRefused, match=f"the verdict on {run} is {verdict}: Worse beyond chance") as refusal:
        luthier.promote(evaluated, run)
    assert refusal.value.exit_code == 2
    for no_reason in ("", " \n"):
        with pytest.raises(GateRefused):
            luthier.promote(evaluated, run, force=no_reason)
    assert released(evaluated) is None
    assert evaluated.registry.list("release") == []
    promoted = luthier.promote(evaluated, run, force="the board wants it")
    assert promoted.forced == "the board wants it"
    assert [change.reason for change in evaluated.registry.alias_history("shop")] == ["the board wants it"]


def test_the_reasons_of_several_gates_are_sentences(evaluated, run, judge):
    judge(evaluated, run, "fail", "Worse beyond chance: 2 rows.", "4 paired examples are too few.")
    with pytest.raises(GateRefused, match=r"fail: Worse beyond chance: 2 rows\. 4 paired .* few \(a better run"):
        luthier.promote(evaluated, run)


def test_the_latest_evaluation_decides(evaluated, run, judge):
    judge(evaluated, run, "pass")
    judge(evaluated, run, "fail", "Worse of late.")
    with pytest.raises(GateRefused, match="Worse of late"):
        luthier.promote(evaluated)


def test_no_evaluation_is_no_release_even_if_forced(prepared):
    run = luthier.train(prepared).run
    for force in (None, "now"):
        with pytest.raises(GateRefused, match=f"{run} has no evaluation beside base-.*run: luthier evaluate {run}"):
            luthier.promote(prepared, force=force)


def test_only_runs_are_released(evaluated, prepared):
    dataset = evaluated.registry.latest("dataset").id
    with pytest.raises(RegistryError, match="is of kind dataset, not run"):
        luthier.promote(evaluated, dataset)
    with pytest.raises(RegistryError, match="there is no run in this workspace yet"):
        luthier.promote(prepared)


def test_a_second_release_keeps_the_first_in_the_history(evaluated, run, judge):
    judge(evaluated, run, "pass")
    first, second = luthier.promote(evaluated).release, luthier.promote(evaluated).release
    assert first != second
    assert [change.previous for change in evaluated.registry.alias_history("shop")] == [None, first]


def test_a_name_that_begins_like_an_id_can_be_released(evaluated, run, judge):
    judge(evaluated, run, "pass")
    with luthier.open_project(evaluated.workspace.root, overrides=["name=run-shop"]) as project:
        assert luthier.promote(project).alias == "run-shop"
        assert released(project) is not None
