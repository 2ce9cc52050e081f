import math
import random

import pytest
import torch
from torch import nn

from luthier.core.recipe import AdapterSection
from luthier.core.rows import TokenRow
from luthier.models.adapter import attach_adapter, trainable
from luthier.models.losses import RowsLoss
from luthier.training import Finding, check_health, overall
from luthier.training.health import OVERFIT_ROWS, OVERFIT_SHARE, OVERFIT_STEPS, fingerprints

VOCABULARY = 320


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


class WatchedLoss:
    """A real loss that keeps the batches it was asked about, and may change the gradient."""

    def __init__(self, loss, gradient=None):
        self._loss, self._gradient, self.batches = loss, gradient, []

    def loss_sum(self, batch):
        self.batches.append(batch)
        loss = self._loss.loss_sum(batch)
        if self._gradient and loss.requires_grad:
            loss.register_hook(self._gradient)
        return loss


def _check(model, rows, r=32, on_step=lambda *_: None, **changes):
    adapted = attach_adapter(model, AdapterSection(r=r, lora_alpha=2 * r), 0)
    loss = WatchedLoss(RowsLoss(adapted), **changes)
    return check_health(loss, trainable(adapted), rows, VOCABULARY, on_step), loss


def _verdicts(findings):
    return {finding.check: finding.verdict for finding in findings}


def test_a_sound_model_passes(pretrained):
    steps = []
    findings, loss = _check(pretrained, _counting_rows(noise=0.3), on_step=lambda *step: steps.append(step))
    assert _verdicts(findings) == {"first_loss": "pass", "gradient": "pass", "overfit_rows": "pass"}
    assert overall(findings) == "pass"
    first, gradient, overfit = findings
    assert first.limit == pytest.approx(math.log(VOCABULARY))
    assert 0.2 * first.limit < first.value < 0.7 * first.limit
    assert 0.01 < gradient.value < 100
    assert overfit.value <= overfit.limit == pytest.approx(OVERFIT_SHARE * first.value)
    assert [finding.advice for finding in findings] == ["", "", ""]
    assert steps[0] == (0, OVERFIT_STEPS)
    assert steps[-1] == (OVERFIT_STEPS, OVERFIT_STEPS)
    assert len(loss.batches) < OVERFIT_STEPS


def test_eight_of_the_longer_rows_are_used(pretrained):
    rows = _counting_rows(noise=0.3, number=20)
    _, loss = _check(pretrained, rows)
    used = loss.batches[0].layout.lengths
    assert used == tuple(sorted(len(row) for row in rows)[10:18])
    assert len(used) == OVERFIT_ROWS


def test_a_single_row_suffices(pretrained):
    findings, _ = _check(pretrained, _counting_rows(noise=0.3, number=1))
    assert [finding.check for finding in findings] == ["first_loss", "gradient", "overfit_rows"]


def test_rows_that_the_model_knows_already_count_as_learnt(pretrained, monkeypatch):
    monkeypatch.setattr("luthier.training.health.OVERFIT_KNOWN", 0.5)  # its small head cannot be surer than that
    rows = _counting_rows(noise=0.0)
    adapted = attach_adapter(pretrained, AdapterSection(r=32, lora_alpha=64), 0)
    loss, parameters = RowsLoss(adapted), trainable(adapted)
    check_health(loss, parameters, rows, VOCABULARY, lambda *_: None)
    findings = check_health(loss, parameters, rows, VOCABULARY, lambda *_: None)
    assert findings[0].value <= 0.5 == findings[2].limit
    assert _verdicts(findings)["overfit_rows"] == "pass"


def test_a_high_first_loss_is_a_warning(pretrained):
    findings, _ = _check(pretrained, _counting_rows(noise=0.45))
    assert _verdicts(findings)["first_loss"] == overall(findings) == "warn"
    assert "template" in findings[0].advice


def test_a_loss_no_better_than_guessing_fails_at_once(pretrained):
    wrong_tokenizer = [
        TokenRow(row.id, tuple(VOCABULARY - 1 - token for token in row.input_ids), row.targets)
        for row in _counting_rows(noise=0.0)
    ]
    findings, _ = _check(pretrained, wrong_tokenizer)
    assert _verdicts(findings) == {"first_loss": "fail"}
    assert findings[0].value >= findings[0].limit
    assert "guessing" in findings[0].advice


def test_damaged_weights_fail_at_once(pretrained):
    pretrained.get_input_embeddings().weight[5] = math.nan
    findings, _ = _check(pretrained, [TokenRow("row", (4, 5, 6, 7), (False, True, True, True))])
    assert _verdicts(findings) == {"first_loss": "fail"}
    assert math.isnan(findings[0].value)
    assert "not finite" in findings[0].advice


def test_weights_that_no_gradient_reaches_fail(pretrained):
    adapted = attach_adapter(pretrained, AdapterSection(r=4, lora_alpha=8), 0)
    elsewhere = {"elsewhere": nn.Parameter(torch.ones(3))}
    findings = check_health(RowsLoss(adapted), elsewhere, _counting_rows(noise=0.3), VOCABULARY, lambda *_: None)
    assert _verdicts(findings) == {"first_loss": "pass", "gradient": "fail"}
    assert findings[1].value == 0.0
    assert "no gradient" in findings[1].advice


def test_a_model_in_which_nothing_trains_fails(pretrained):
    adapted = attach_adapter(pretrained, AdapterSection(r=4, lora_alpha=8), 0)
    parameters = trainable(adapted)
    adapted.requires_grad_(False)
    findings = check_health(RowsLoss(adapted), parameters, _counting_rows(noise=0.3), VOCABULARY, lambda *_: None)
    assert (findings[-1].check, findings[-1].verdict, findings[-1].value) == ("gradient", "fail", 0.0)


@pytest.mark.parametrize("factor", [1e9, math.inf])
def test_gradients_beyond_all_bounds_fail(pretrained, factor):
    findings, _ = _check(pretrained, _counting_rows(noise=0.3), gradient=lambda gradient: gradient * factor)
    assert _verdicts(findings) == {"first_loss": "pass", "gradient": "fail"}
    assert "explode" in findings[1].advice


def test_rows_that_cannot_be_learnt_fail(pretrained):
    findings, _ = _check(pretrained, _counting_rows(noise=0.3), r=1)
    assert _verdicts(findings)["overfit_rows"] == overall(findings) == "fail"
    assert findings[2].value > findings[2].limit
    assert "adapter.r" in findings[2].advice


@pytest.mark.parametrize(
    ("verdicts", "worst"),
    [(["pass", "warn", "fail"], "fail"), (["pass", "warn"], "warn"), (["pass"], "pass"), ([], "pass")],
)
def test_the_worst_verdict_counts(verdicts, worst):
    assert overall([Finding("check", verdict, 0.0, 1.0, "") for verdict in verdicts]) == worst


def test_fingerprints_tell_which_weights_have_moved(new_training):
    parameters = new_training().parameters
    start = fingerprints(parameters)
    assert fingerprints(parameters) == start
    moved = next(iter(parameters))
    parameters[moved].data[0, 0] += 1e-6
    now = fingerprints(parameters)
    assert [name for name in parameters if now[name] != start[name]] == [moved]
