import math
import random

import pytest
import torch
from torch import nn

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import attach_adapter, trainable
from luthier.models.losses import RowsLoss
from luthier.training import CausalObjective, Guess, Objective, check_first_pass, check_learns, few_rows, overall
from luthier.training.first_pass import PASS_ROWS
from luthier.training.health import OVERFIT_SHARE, OVERFIT_STEPS, fingerprints

VOCABULARY = 320
GUESS = Guess(math.log(VOCABULARY), known=True)


def _counting_rows(noise, number=12):
    """Rows that count by ones, but for a share of tokens that can only be learnt by heart."""
    source = random.Random(1)
    rows = []
    for index in range(number):
        first, length = source.randrange(VOCABULARY), source.randrange(10, 24)
        counted = [(first + place) % VOCABULARY for place in range(length)]
        ids = tuple(source.randrange(VOCABULARY) if source.random() < noise else token for token in counted)
        rows.append(TokenRow(f"row-{index}", ids, (False, False, *[True] * (length - 2))))
    return rows


@pytest.fixture
def pretrained(tiny_model):
    """The tiny model after all its weights have learnt to count by ones, and to doubt it a little."""
    tiny_model.requires_grad_(True)
    optimizer = torch.optim.AdamW(tiny_model.parameters(), lr=2e-2)
    generator = torch.Generator().manual_seed(0)
    counted = (torch.arange(16) + torch.arange(0, VOCABULARY, 8)[:, None]) % VOCABULARY
    for _ in range(100):
        wrong = torch.rand(counted.shape, generator=generator) < 0.3
        ids = torch.where(wrong, torch.randint(VOCABULARY, counted.shape, generator=generator), counted)
        tiny_model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return tiny_model.requires_grad_(False)


class WatchedObjective(Objective):
    """A real objective that keeps the rows it was asked about, and may change the gradient."""

    fast_path = "on"

    def __init__(self, objective, gradient=None):
        self._objective, self._gradient, self.batches = objective, gradient, []

    def step(self, examples):
        loss_of = self._objective.step(examples)

        def watched(batch):
            self.batches.append(batch)
            loss = loss_of(batch)
            if self._gradient and loss.requires_grad:
                loss.register_hook(self._gradient)
            return loss

        return watched

    def validation(self, examples):
        return self._objective.validation(examples)


def _check(model, rows, r=32, on_step=lambda *_: None, guess=GUESS, **changes):
    adapted = attach_adapter(model, AdapterSection(r=r, lora_alpha=2 * r), 0)
    objective = WatchedObjective(CausalObjective(RowsLoss(adapted)), **changes)
    return _findings(adapted, objective, rows, guess, on_step), objective


def _findings(model, objective, rows, guess=GUESS, on_step=lambda *_: None, parameters=None):
    """What `luthier check` finds about losses and gradients, by name."""
    parameters, few = trainable(model) if parameters is None else parameters, few_rows(rows)

    def loss():
        return objective.step(few)(few)

    found = {finding.check: finding for finding in check_first_pass(model, parameters, loss, guess)}
    if "fail" in _verdicts(found.values()).values():
        return found
    return found | {"overfit_rows": check_learns(parameters, loss, on_step)}


def _verdicts(findings):
    return {finding.check: finding.verdict for finding in findings}


def test_a_sound_model_passes(pretrained):
    steps = []
    findings, objective = _check(pretrained, _counting_rows(noise=0.3), on_step=lambda *step: steps.append(step))
    assert _verdicts(findings.values()) == dict.fromkeys(
        ("first_loss", "activations", "gradient", "gradient_ratio", "overfit_rows"), "pass"
    )
    assert overall(_verdicts(findings.values()).values()) == "pass"
    first, gradient, overfit = (findings[name] for name in ("first_loss", "gradient", "overfit_rows"))
    assert first.limit == pytest.approx(math.log(VOCABULARY))
    assert 0.2 * first.limit < first.value < 0.7 * first.limit
    assert 0.01 < gradient.value < 100
    assert overfit.value <= overfit.limit == pytest.approx(OVERFIT_SHARE * first.value)
    assert not any(finding.advice for finding in findings.values())
    assert steps[0] == (0, OVERFIT_STEPS)
    assert steps[-1] == (OVERFIT_STEPS, OVERFIT_STEPS)
    assert len(objective.batches) < OVERFIT_STEPS


def test_eight_of_the_longer_rows_are_used(pretrained):
    rows = _counting_rows(noise=0.3, number=20)
    _, objective = _check(pretrained, rows)
    used = [len(row) for row in objective.batches[0]]
    assert used == sorted(len(row) for row in rows)[10:18]
    assert len(used) == PASS_ROWS


def test_long_rows_are_fewer_but_one(random_rows):
    assert [len(row) for row in few_rows(random_rows((400, 410, 500, 600)))] == [500]
    assert [len(row) for row in few_rows(random_rows((5000,)))] == [5000]
    assert [len(row) for row in few_rows(random_rows((10, 20, 30, 40)), most_tokens=50)] == [30]


def test_a_single_row_suffices(pretrained):
    findings, _ = _check(pretrained, _counting_rows(noise=0.3, number=1))
    assert findings["overfit_rows"].verdict == "pass"


def test_rows_that_the_model_knows_already_count_as_learnt(pretrained, monkeypatch):
    monkeypatch.setattr("luthier.training.health.OVERFIT_KNOWN", 0.5)  # its small head cannot be surer than that
    rows = _counting_rows(noise=0.0)
    adapted = attach_adapter(pretrained, AdapterSection(r=32, lora_alpha=64), 0)
    objective = CausalObjective(RowsLoss(adapted))
    _findings(adapted, objective, rows)
    findings = _findings(adapted, objective, rows)
    assert findings["first_loss"].value <= 0.5 == findings["overfit_rows"].limit
    assert findings["overfit_rows"].verdict == "pass"


def test_a_high_first_loss_is_a_warning(pretrained):
    findings, _ = _check(pretrained, _counting_rows(noise=0.45))
    assert findings["first_loss"].verdict == "warn"
    assert "template" in findings["first_loss"].advice


def test_a_loss_no_better_than_guessing_fails_at_once(pretrained):
    wrong_tokenizer = [
        TokenRow(row.id, tuple(VOCABULARY - 1 - token for token in row.input_ids), row.targets)
        for row in _counting_rows(noise=0.0)
    ]
    findings, _ = _check(pretrained, wrong_tokenizer)
    assert _verdicts(findings.values()) == {"first_loss": "fail", "activations": "pass"}
    assert findings["first_loss"].value >= findings["first_loss"].limit
    assert "guessing" in findings["first_loss"].advice


@pytest.mark.parametrize(("guess", "verdict"), [(5.0, "pass"), (0.5, "warn")])
def test_a_new_head_may_begin_with_the_loss_of_guessing(pretrained, guess, verdict):
    findings, _ = _check(pretrained, _counting_rows(noise=0.3), guess=Guess(guess, known=False))
    assert findings["first_loss"].verdict == verdict
    assert findings["first_loss"].limit == 2 * guess
    assert "overfit_rows" in findings


def test_damaged_weights_fail_at_once(pretrained):
    pretrained.get_input_embeddings().weight[5] = math.nan
    findings, _ = _check(pretrained, [TokenRow("row", (4, 5, 6, 7), (False, True, True, True))])
    assert _verdicts(findings.values()) == {"first_loss": "fail", "activations": "fail"}
    assert math.isnan(findings["first_loss"].value)
    assert "not finite" in findings["first_loss"].advice


def test_weights_that_no_gradient_reaches_fail(pretrained):
    adapted = attach_adapter(pretrained, AdapterSection(r=4, lora_alpha=8), 0)
    elsewhere = {"elsewhere": nn.Parameter(torch.ones(3))}
    findings = _findings(adapted, CausalObjective(RowsLoss(adapted)), _counting_rows(noise=0.3), parameters=elsewhere)
    assert _verdicts(findings.values()) == {"first_loss": "pass", "activations": "pass", "gradient": "fail"}
    assert findings["gradient"].value == 0.0
    assert "no gradient" in findings["gradient"].advice


def test_a_model_in_which_nothing_trains_fails(pretrained):
    adapted = attach_adapter(pretrained, AdapterSection(r=4, lora_alpha=8), 0)
    parameters = trainable(adapted)
    adapted.requires_grad_(False)
    findings = _findings(adapted, CausalObjective(RowsLoss(adapted)), _counting_rows(noise=0.3), parameters=parameters)
    assert (findings["gradient"].verdict, findings["gradient"].value) == ("fail", 0.0)


@pytest.mark.parametrize("factor", [1e9, math.inf])
def test_gradients_beyond_all_bounds_fail(pretrained, factor):
    findings, _ = _check(pretrained, _counting_rows(noise=0.3), gradient=lambda gradient: gradient * factor)
    assert findings["gradient"].verdict == "fail"
    assert "explode" in findings["gradient"].advice


def test_rows_that_cannot_be_learnt_fail(pretrained):
    findings, _ = _check(pretrained, _counting_rows(noise=0.3), r=1)
    assert findings["overfit_rows"].verdict == overall(_verdicts(findings.values()).values()) == "fail"
    assert findings["overfit_rows"].value > findings["overfit_rows"].limit
    assert "adapter.r" in findings["overfit_rows"].advice


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [(["pass", "warn", "fail"], "fail"), (["pass", "warn"], "warn"), (["pass"], "pass"), ([], "pass")],
)
def test_the_worst_verdict_counts(verdicts, worst):
    assert overall(verdicts) == worst


def test_fingerprints_tell_which_weights_have_moved(new_training):
    parameters = new_training().parameters
    start = fingerprints(parameters)
    assert fingerprints(parameters) == start
    moved = next(iter(parameters))
    parameters[moved].data[0, 0] += 1e-6
    now = fingerprints(parameters)
    assert [name for name in parameters if now[name] != start[name]] == [moved]
