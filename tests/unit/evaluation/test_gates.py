import numpy as np
import pytest

from luthier.core.recipe import GatesSection
from luthier.core.rows import RowLoss
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import GateResult, Leak, judge, overall
from luthier.evaluation.measured import Measured
from luthier.evaluation.skills import SkillScore

LOSS = GatesSection(loss="no_worse")
FACTS = GatesSection(loss=None, facts=0.6)
BOTH = GatesSection(loss="no_worse", facts=0.6)


def losses(rows, mean, seed=0, noise=0.05):
    draws = np.random.default_rng(seed).normal(mean, noise, rows)
    return [RowLoss(f"row-{index}", 20 * draw, 20, 0) for index, draw in enumerate(draws)]


def answers(rows, right):
    return [
        AnswerScore(f"question {index}?", ("€1",), "€1", recalled=index < right, wrong=(), never_stopped=False)
        for index in range(rows)
    ]


def measured(model="run-1", rows=0, mean=2.0, questions=0, right=0, seed=0):
    return Measured(model, test=losses(rows, mean, seed), answers=answers(questions, right))


def verdicts(gates, candidate, reference):
    results = judge(gates, candidate, reference)
    return {result.gate: result.verdict for result in results}, overall(results)


def test_a_better_loss_on_many_rows_passes():
    assert verdicts(LOSS, measured(rows=200, mean=1.5), measured(rows=200, seed=1)) == ({"loss": "pass"}, "pass")


def test_a_worse_loss_fails_on_many_rows_and_on_few():
    for rows in (200, 25):
        found = verdicts(LOSS, measured(rows=rows, mean=2.5), measured(rows=rows, seed=1))
        assert found == ({"loss": "fail"}, "fail")


def test_few_rows_alone_are_inconclusive():
    found = verdicts(LOSS, measured(rows=199, mean=1.5), measured(rows=199, seed=1))
    assert found == ({"loss": "inconclusive"}, "inconclusive")


def test_few_rows_pass_beside_many_questions_and_the_reason_says_so():
    candidate = measured(rows=25, mean=1.5, questions=224, right=150)
    results = judge(BOTH, candidate, measured("base-1", rows=25, questions=224, right=10, seed=1))
    assert overall(results) == "pass"
    assert "25 test rows" in results[0].reason
    assert "Few rows" in results[0].reason


def test_few_worse_rows_fail_beside_many_good_questions():
    candidate = measured(rows=25, mean=2.5, questions=224, right=150)
    found = verdicts(BOTH, candidate, measured(rows=25, questions=224, right=10, seed=1))
    assert found == ({"loss": "fail", "facts": "pass"}, "fail")


@pytest.mark.parametrize("rows", [0, 9])
def test_hardly_any_rows_are_inconclusive_whatever_the_questions(rows):
    candidate = measured(rows=rows, mean=2.5, questions=224, right=150)
    found = verdicts(BOTH, candidate, measured(rows=rows, questions=224, right=10, seed=1))
    assert found == ({"loss": "inconclusive", "facts": "pass"}, "inconclusive")


def test_facts_below_the_share_asked_for_fail():
    found = verdicts(FACTS, measured(questions=200, right=119), measured(questions=200, right=0))
    assert found == ({"facts": "fail"}, "fail")


def test_facts_at_the_share_asked_for_pass_and_the_reason_has_the_numbers():
    results = judge(FACTS, measured(questions=200, right=120), measured("base-1", questions=200, right=10))
    assert [(result.gate, result.verdict) for result in results] == [("facts", "pass")]
    for number in ("60.0% of 200 questions", "(95 % interval 53.1% to 66.5%)", "base-1 5.0%", "+55.0 points"):
        assert number in results[0].reason


def test_facts_on_few_questions_are_inconclusive_even_beside_many_rows():
    candidate = measured(rows=300, mean=1.5, questions=199, right=199)
    found = verdicts(BOTH, candidate, measured(rows=300, questions=199, right=0, seed=1))
    assert found == ({"loss": "pass", "facts": "inconclusive"}, "inconclusive")


def test_facts_above_the_share_but_well_below_the_reference_fail():
    for questions in (300, 100):
        candidate = measured(questions=questions, right=questions * 7 // 10)
        found = verdicts(FACTS, candidate, measured(questions=questions, right=questions * 9 // 10))
        assert found == ({"facts": "fail"}, "fail")


def test_without_a_gate_nothing_is_decided():
    results = judge(GatesSection(loss=None), measured(), measured())
    assert results == [
        GateResult("evaluation.gates", "inconclusive", "No gate is set in the recipe, so nothing was decided.")
    ]
    assert overall(results) == "inconclusive"


def test_the_same_quality_passes_and_ten_points_fewer_are_refused():
    """By simulation with 300 paired examples: at least 95 and 90 of 100 times."""
    generator = np.random.default_rng(7)
    gates = GatesSection(loss=None, facts=0.0)

    def released(drop):
        right = generator.random(300) < 0.8
        kept = right & (generator.random(300) >= drop / 0.8)
        pair = [Measured("m", answers=_answers_of(values)) for values in (kept, right)]
        return verdicts(gates, *pair)[1] == "pass"

    assert sum(released(0.0) for _ in range(100)) >= 95
    assert sum(not released(0.1) for _ in range(100)) >= 90


def _answers_of(values):
    return [AnswerScore(f"{index}?", ("x",), "", bool(value), (), False) for index, value in enumerate(values)]


@pytest.mark.parametrize(("shift", "released"), [(0.0, 95), (0.1, 10)])
def test_the_loss_gate_by_simulation(shift, released):
    """300 paired rows whose difficulty is shared: the same loss passes, one that is a tenth of a nat worse does not."""
    generator = np.random.default_rng(11)

    def passes():
        hard = generator.normal(2.0, 0.8, 300)
        noise = generator.normal(0, 0.3, (2, 300))
        pair = [
            Measured("m", test=[RowLoss(f"{row}", 20 * float(loss), 20, 0) for row, loss in enumerate(hard + each)])
            for each in (noise[0] + shift, noise[1])
        ]
        return verdicts(LOSS, *pair)[1] == "pass"

    passed = sum(passes() for _ in range(100))
    assert passed >= released if shift == 0 else passed <= released


def general(loss, skills=()):
    return Measured("base-1", general=losses(40, loss), skills=skills)


def skills(passed):
    return [SkillScore("arithmetic", f"task {number}", "", number < passed) for number in range(15)]


FORGETTING = GatesSection(loss=None, facts=0.0, forgetting=0.2)


def forgot(rise, passed=15):
    candidate = Measured("run-1", general=losses(40, 2.0 + rise), skills=skills(passed), answers=answers(200, 200))
    reference = Measured("base-1", answers=answers(200, 0))
    results = judge(FORGETTING, candidate, reference, general(2.0, skills(15)))
    return next(result for result in results if result.gate == "forgetting")


def test_a_rise_of_the_general_loss_within_the_limit_passes():
    found = forgot(0.1)
    assert found.verdict == "pass"
    assert "+0.100 beside base-1" in found.reason
    assert "No skill was lost" in found.reason


def test_a_rise_beyond_the_limit_fails_and_names_the_skill_that_was_lost():
    found = forgot(0.3, passed=3)
    assert found.verdict == "fail"
    assert "More than the 0.2 allowed" in found.reason
    assert "Skills lost: arithmetic." in found.reason


def test_forgetting_that_nobody_measured_is_inconclusive():
    results = judge(FORGETTING, measured(questions=200, right=200), measured(questions=200))
    assert [result.verdict for result in results] == ["pass", "inconclusive"]


def test_answers_within_the_time_allowed_pass_and_slower_ones_fail():
    gates = GatesSection(loss=None, facts=0.0, latency=1.0)
    reference = measured(questions=200)
    for seconds, verdict in ((0.5, "pass"), (1.5, "fail")):
        candidate = Measured("run-1", answers=answers(200, 200), seconds=[seconds] * 5)
        assert verdicts(gates, candidate, reference)[0]["latency"] == verdict
    assert verdicts(gates, Measured("run-1", answers=answers(200, 200)), reference)[0]["latency"] == "inconclusive"


def test_no_gate_passes_without_enough_pairs():
    gates = GatesSection(loss=None, forgetting=0.2, latency=1.0)
    candidate = Measured("run-1", general=losses(40, 2.0), seconds=[0.5] * 5)
    found = verdicts(gates, candidate, Measured("base-1"))
    assert found[1] == "inconclusive"
    results = judge(gates, candidate, Measured("base-1"), general(2.0))
    assert {result.verdict for result in results} == {"inconclusive"}
    assert all("0 paired examples are too few" in result.reason for result in results)


def test_leaks_fail_whatever_the_figures():
    leaks = [Leak(f"question {number}", f"chats.jsonl row {number}", 1.0) for number in range(5)]
    candidate, reference = measured(questions=200, right=200), measured(questions=200)
    results = judge(FACTS, candidate, reference, leaks=leaks)
    assert (results[-1].gate, results[-1].verdict, overall(results)) == ("leakage", "fail", "fail")
    assert "question 0 is 100% like chats.jsonl row 0" in results[-1].reason
    assert results[-1].reason.endswith("and 2 more.")
    assert overall(judge(FACTS, candidate, reference, leaks=[])) == "pass"


def invented(rows, times):
    return [
        AnswerScore(f"{index}?", ("x",), "", True, (), False, unsupported=("9.00 EUR",) if index < times else ())
        for index in range(rows)
    ]


UNSUPPORTED = GatesSection(loss=None, unsupported_facts=0.05)


@pytest.mark.parametrize(
    ("rows", "times", "verdict"), [(200, 10, "pass"), (200, 11, "fail"), (60, 2, "inconclusive"), (60, 20, "fail")]
)
def test_facts_that_nothing_supports(rows, times, verdict):
    results = judge(
        UNSUPPORTED, Measured("run-1", answers=invented(rows, times)), Measured("b", answers=invented(rows, 0))
    )
    assert [(result.gate, result.verdict) for result in results] == [("unsupported_facts", verdict)]
    assert "for one, '9.00 EUR'" in results[0].reason


def test_without_answers_nothing_is_known_of_unsupported_facts():
    assert verdicts(UNSUPPORTED, Measured("a"), Measured("b"))[1] == "inconclusive"
