"""The range test finds rates that help and rates that break, and leaves no trace."""

import pytest
import torch
from torch import nn

from luthier.training import range_test
from luthier.training.learning_rates import STEPS, RangeTest


def _valley(steepness, dtype=torch.float32):
    """A weight, and its distance from 0.3 times a steepness: a loss that Adam lowers until its steps are too long."""
    weight = nn.Parameter(torch.full((4,), 0.1, dtype=dtype))
    return {"weight": weight}, lambda: 1 + steepness * (weight.float() - 0.3).square().sum()


def _try(parameters, loss, most_seconds=None, tell=lambda _: None, on_step=lambda *_: None):
    return range_test(parameters, loss, most_seconds, tell, on_step)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_weights_come_back_as_they_were(dtype):
    parameters, loss = _valley(3.0, dtype)
    before = parameters["weight"].detach().clone()
    assert _try(parameters, loss) is not None
    assert torch.equal(parameters["weight"], before)
    assert parameters["weight"].grad is None


def test_a_rate_that_helps_is_suggested():
    found = _try(*_valley(10.0))
    assert 1e-2 < found.best < 0.3
    assert found.suggested == pytest.approx(found.best / 10, rel=0.5)
    assert found.finding(found.suggested).verdict == "pass"


def test_a_rate_that_breaks_training_is_found():
    found = _try(*_valley(10.0))
    assert found.best < found.broke
    assert found.finding(found.highest).verdict == "pass"
    failed = found.finding(1000 * found.suggested)
    assert (failed.check, failed.verdict, failed.limit) == ("learning_rate", "fail", found.broke)
    assert f"training.learning_rate {found.suggested:g}" in failed.advice


def test_the_cost_is_told_before_and_can_be_too_much():
    told, steps = [], []
    parameters, loss = _valley(3.0)
    assert _try(parameters, loss, 0.0, told.append, lambda *step: steps.append(step)) is None
    assert told[0] > 0
    assert steps == []
    assert _try(parameters, loss, 60.0, told.append, lambda *step: steps.append(step)) is not None
    assert steps[-1] == (STEPS, STEPS)


def test_a_loss_that_is_not_finite_ends_the_test():
    parameters, _ = _valley(1.0)
    calls = []

    def loss():
        calls.append(1)
        return 0 * parameters["weight"].sum() + (float("nan") if len(calls) > 3 else 5 - len(calls))

    found = _try(parameters, loss)
    assert len(calls) == 4
    assert found.broke == list(found.losses)[2]


def test_a_rate_is_judged_by_the_loss_after_its_step():
    found = RangeTest({1e-4: 3.0, 1e-3: 2.9, 1e-2: 1.0, 1e-1: 5.0}, broke=1e-2)
    assert (found.best, found.suggested, found.highest) == (1e-3, 1e-4, 1e-3)
    assert [found.finding(rate).verdict for rate in (1e-3, 5e-3, 1e-2)] == ["pass", "warn", "fail"]
