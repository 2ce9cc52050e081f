import pytest

from luthier.core.errors import EvaluationError
from luthier.core.recipe import GatesSection
from luthier.core.rows import RowLoss
from luthier.evaluation.assessment import Context, assess
from luthier.evaluation.measured import Measured
from luthier.evaluation.preferences import PreferenceScore, score_preferences


def _measured(model, right, pairs=300):
    """A model that finds the chosen answer likelier in so many of the pairs, by a nat a token."""
    scores = [PreferenceScore(f"{n}", -1.0, -2.0 if n < right else 0.0) for n in range(pairs)]
    return Measured(model, preferences=scores)


def test_answers_are_compared_per_token():
    chosen, rejected = RowLoss("a", 30.0, 20, 0), RowLoss("a/rejected", 8.0, 4, 0)
    [score] = score_preferences([chosen], [rejected])
    assert score == PreferenceScore("a", -1.5, -2.0)
    assert score.right
    assert not PreferenceScore("a", -1.0, -1.0).right


def test_accuracy_and_margin_stand_beside_those_of_the_reference():
    found = assess(GatesSection(loss=None), _measured("run-1", 240), _measured("base-1", 150), Context())
    assert (found.metrics["preference_accuracy"].value, found.metrics["preference_margin"].value) == (0.8, 0.6)
    assert 0.7 < found.metrics["preference_accuracy"].low < 0.8 < found.metrics["preference_accuracy"].high < 0.9
    assert found.differences["preference_accuracy"].value == pytest.approx(0.3)
    assert "preference_accuracy" not in assess(GatesSection(), Measured("a"), Measured("b"), Context()).metrics


@pytest.mark.parametrize(
    ("right", "pairs", "least", "verdict"),
    [
        (240, 300, 0.7, "pass"),
        (240, 300, 0.9, "fail"),
        (100, 300, 0.1, "fail"),  # half were right before
        (90, 100, 0.5, "inconclusive"),
    ],
)
def test_the_gate_of_accuracy_takes_pairs(right, pairs, least, verdict):
    gates = GatesSection(loss=None, accuracy=least)
    found = assess(gates, _measured("run-1", right, pairs), _measured("base-1", pairs // 2, pairs), Context())
    [gate] = found.gates
    assert (gate.gate, gate.verdict) == ("accuracy", verdict), gate.reason
    assert f"{right / pairs:.1%} of {pairs} test pairs' chosen answers found likelier" in gate.reason


def test_other_pairs_are_refused():
    with pytest.raises(EvaluationError, match="run-1 and base-1 did not answer the same pairs in one order"):
        assess(GatesSection(), _measured("run-1", 5), _measured("base-1", 5, 299), Context())
