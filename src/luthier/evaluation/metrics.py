"""The figures of an evaluation: what each is made of, what it is called, and which way is better."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from luthier.core.rows import RowLoss
from luthier.evaluation.classification import (
    LabelScore,
    calibration_columns,
    calibration_error,
    label_columns,
    macro_f1,
)
from luthier.evaluation.losses import loss_columns, perplexity
from luthier.evaluation.measured import HeldOutRow, Measured
from luthier.evaluation.replies import bleu_of_sums
from luthier.evaluation.statistics import (
    Figure,
    Interval,
    Numbers,
    figure_interval,
    paired_figure_difference,
    ratio,
    share_interval,
)

Unit = Literal["nats", "bits", "share", "number", "points", "seconds"]
"""`points` are in 0..100; `nats` are per token, of a classifier per text."""
Better = Literal["lower", "higher", "neither"]
HeldOut = Mapping[str, HeldOutRow]
Columns = Callable[[Measured, HeldOut], Numbers]
"""One row an example, shape [examples, columns] of what `figure` sums; no rows where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Metric:
    """`columns` come in one order for every model, so that two models pair example by example."""

    name: str
    label: str
    unit: Unit
    better: Better
    columns: Columns
    figure: Figure = ratio

    def of(self, measured: Measured, held_out: HeldOut) -> Interval | None:
        """The figure of one model; None where nothing was measured for it."""
        rows = self.columns(measured, held_out)
        return self.interval(rows) if len(rows) else None

    def interval(self, rows: Numbers) -> Interval:
        """The figure of these examples, at least one: Wilson's interval for yes-or-no shares, else the bootstrap's."""
        yes_or_no = self.figure is ratio and np.isin(rows[:, 0], (0, 1)).all() and (rows[:, 1] == 1).all()
        if self.unit == "share" and yes_or_no:
            return share_interval(rows[:, 0].astype(bool).tolist())
        return figure_interval(rows, self.figure)

    def difference(self, candidate: Measured, reference: Measured, held_out: HeldOut) -> Interval | None:
        """The candidate's figure less the reference's, example by example; None where one was not measured."""
        ours, theirs = self.columns(candidate, held_out), self.columns(reference, held_out)
        if not len(ours) or not len(theirs):
            return None
        return paired_figure_difference(ours, theirs, self.figure)


def _loss(rows: Callable[[Measured], Sequence[RowLoss]], of_labels: bool = False) -> Columns:
    def columns(measured: Measured, _: HeldOut) -> Numbers:
        scored = rows(measured) if bool(measured.labels) == of_labels else ()
        return loss_columns(scored) if scored else np.empty((0, 2))

    return columns


def _token_accuracy(measured: Measured, _: HeldOut) -> Numbers:
    rows = sorted(measured.test, key=lambda row: row.row_id)
    return _table([(row.correct_tokens, row.target_tokens) for row in rows if not measured.labels])


def _bits_per_byte(measured: Measured, held_out: HeldOut) -> Numbers:
    rows = sorted(measured.test, key=lambda row: row.row_id)
    sizes = [held_out[row.row_id].target_bytes if row.row_id in held_out else 0 for row in rows]
    if not all(sizes):
        return np.empty((0, 2))
    return _table([(row.loss_sum / math.log(2), size) for row, size in zip(rows, sizes, strict=True)])


def _each(values: Callable[[Measured], Sequence[float]]) -> Columns:
    """One value an example, to be averaged."""
    return lambda measured, _: _table([(value, 1) for value in values(measured)])


def _matched_facts(measured: Measured, _: HeldOut) -> Numbers:
    return _table([(score.facts_matched, score.facts) for score in measured.replies if score.facts])


def _turned(measured: Measured, _: HeldOut) -> Numbers:
    """Answers that turned, and answers, of each question: the ways of asking it do not count as so many examples."""
    by_question: dict[str, list[bool]] = {}
    for score in measured.variants:
        by_question.setdefault(score.question, []).append(score.recalled != score.plainly)
    return _table([(sum(turned), len(turned)) for turned in by_question.values()])


def _table(rows: Sequence[Sequence[float]]) -> Numbers:
    return np.array(rows, np.float64) if rows else np.empty((0, 2))


def _skill(name: str) -> Columns:
    return _each(lambda measured: [score.passed for score in measured.skills if score.skill == name])


SKILLS = ("instructions", "arithmetic", "politeness", "JSON")


def _label_accuracy(measured: Measured, _: HeldOut) -> Numbers:
    return _table([(score.given == score.expected, 1) for score in _by_row(measured.labelled)])


def _by_row(scores: Sequence[LabelScore]) -> list[LabelScore]:
    return sorted(scores, key=lambda score: score.row_id)


METRICS: tuple[Metric, ...] = (
    Metric(
        "preference_accuracy",
        "test pairs whose chosen answer is likelier",
        "share",
        "higher",
        _each(lambda one: [score.right for score in one.preferences]),
    ),
    Metric(
        "preference_margin",
        "by how much (nats per token)",
        "nats",
        "higher",
        _each(lambda one: [score.chosen - score.rejected for score in one.preferences]),
    ),
    Metric("test_accuracy", "test texts labelled right", "share", "higher", _label_accuracy),
    Metric(
        "test_macro_f1",
        "test macro-F1",
        "share",
        "higher",
        lambda one, _: label_columns(one.labelled, one.labels),
        macro_f1,
    ),
    Metric(
        "test_confidence",
        "how sure it is of its labels",
        "share",
        "neither",
        lambda one, _: _table([(score.confidence, 1) for score in _by_row(one.labelled)]),
    ),
    Metric(
        "test_calibration_error",
        "how far it is surer than right, or less sure",
        "share",
        "lower",
        lambda one, _: calibration_columns(one.labelled),
        calibration_error,
    ),
    Metric(
        "test_label_loss",
        "test loss (nats per text)",
        "nats",
        "lower",
        _loss(lambda one: one.test, of_labels=True),
    ),
    Metric(
        "validation_label_loss",
        "validation loss (nats per text)",
        "nats",
        "lower",
        _loss(lambda one: one.validation, of_labels=True),
    ),
    Metric("validation_loss", "validation loss (nats per token)", "nats", "lower", _loss(lambda one: one.validation)),
    Metric(
        "validation_perplexity",
        "validation perplexity",
        "number",
        "lower",
        _loss(lambda one: one.validation),
        perplexity,
    ),
    Metric("test_loss", "test loss (nats per token)", "nats", "lower", _loss(lambda one: one.test)),
    Metric("test_perplexity", "test perplexity", "number", "lower", _loss(lambda one: one.test), perplexity),
    Metric("test_bits_per_byte", "test bits per byte", "bits", "lower", _bits_per_byte),
    Metric("test_token_accuracy", "test tokens guessed right", "share", "higher", _token_accuracy),
    Metric(
        "facts_recalled",
        "questions with every fact recalled",
        "share",
        "higher",
        _each(lambda one: [score.recalled for score in one.answers]),
    ),
    Metric(
        "facts_wrong",
        "answers with a wrong fact",
        "share",
        "lower",
        _each(lambda one: [bool(score.wrong) for score in one.answers]),
    ),
    Metric(
        "facts_unsupported",
        "answers with a fact that nothing supports",
        "share",
        "lower",
        _each(lambda one: [bool(score.unsupported) for score in one.answers]),
    ),
    Metric(
        "refused",
        "answers that decline",
        "share",
        "neither",
        _each(lambda one: [score.refused for score in one.answers]),
    ),
    Metric(
        "never_stopped",
        "answers that never stopped",
        "share",
        "lower",
        _each(lambda one: [score.never_stopped for score in one.answers]),
    ),
    Metric(
        "answer_words",
        "words an answer",
        "number",
        "neither",
        _each(lambda one: [score.words for score in one.answers]),
    ),
    Metric(
        "reply_exact",
        "replies equal to the person's",
        "share",
        "higher",
        _each(lambda one: [score.exact for score in one.replies]),
    ),
    Metric("reply_facts", "facts of the person's reply stated", "share", "higher", _matched_facts),
    Metric(
        "reply_rouge_1",
        "ROUGE-1 with the person's reply",
        "points",
        "higher",
        _each(lambda one: [100 * score.rouge_1 for score in one.replies]),
    ),
    Metric(
        "reply_rouge_l",
        "ROUGE-L with the person's reply",
        "points",
        "higher",
        _each(lambda one: [100 * score.rouge_l for score in one.replies]),
    ),
    Metric(
        "reply_bleu",
        "BLEU with the person's reply",
        "points",
        "higher",
        lambda one, _: _table([score.bleu for score in one.replies]),
        bleu_of_sums,
    ),
    Metric(
        "reply_chrf",
        "chrF with the person's reply",
        "points",
        "higher",
        _each(lambda one: [score.chrf for score in one.replies]),
    ),
    Metric("general_loss", "loss on general text (nats per token)", "nats", "lower", _loss(lambda one: one.general)),
    *(Metric(f"skill_{name.lower()}", f"general skill: {name}", "share", "higher", _skill(name)) for name in SKILLS),
    Metric(
        "variants_turned",
        "answers that turn right or wrong when asked otherwise",
        "share",
        "lower",
        _turned,
    ),
    Metric(
        "samples_agree",
        "drawn answers that say the same",
        "share",
        "higher",
        _each(lambda one: [score.agreement for score in one.sampled]),
    ),
    Metric("answer_seconds", "seconds an answer, asked alone", "seconds", "lower", _each(lambda one: one.seconds)),
)
METRIC_OF: Mapping[str, Metric] = {metric.name: metric for metric in METRICS}


def measure(measured: Measured, held_out: HeldOut) -> dict[str, Interval]:
    """The metrics of one model by name: those for which there are rows or answers."""
    found = {metric.name: metric.of(measured, held_out) for metric in METRICS}
    return {name: interval for name, interval in found.items() if interval is not None}


def compare(candidate: Measured, reference: Measured, held_out: HeldOut) -> dict[str, Interval]:
    """The paired difference of each metric that both models have, candidate less reference."""
    found = {metric.name: metric.difference(candidate, reference, held_out) for metric in METRICS}
    return {name: interval for name, interval in found.items() if interval is not None}
