"""How many labels are right, beside what scikit-learn makes of the same."""

import random

import numpy as np
import pytest
from sklearn.metrics import f1_score

from luthier.core.recipe import GatesSection
from luthier.core.rows import RowLoss
from luthier.evaluation.assessment import Context, assess
from luthier.evaluation.classification import (
    Confusion,
    LabelScore,
    calibration_columns,
    calibration_error,
    label_columns,
    macro_f1,
    worst_confusions,
)
from luthier.evaluation.measured import Measured
from luthier.evaluation.metrics import compare, measure
from luthier.evaluation.report import render_report
from luthier.evaluation.report_page import render_page

LABELS = ("card", "delivery", "refund", "rest")


def scores(rows, right, seed=0, labels=LABELS[:3], sure=0.5):
    source = random.Random(seed)
    drawn = [source.choice(labels) for _ in range(rows)]
    return [
        LabelScore(f"row-{number}", label, label if source.random() < right else source.choice(labels), sure)
        for number, label in enumerate(drawn)
    ]


def classifier(name, rows, right, loss=0.5):
    found = scores(rows, right)
    losses = [RowLoss(one.row_id, loss, 1, int(one.given == one.expected)) for one in found]
    return Measured(name, test=losses, validation=losses[:20], labelled=found, labels=LABELS)


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_that_of_scikit_learn(seed):
    found = scores(60, 0.6, seed, LABELS[: 2 + seed % 3])
    expected, given = ([getattr(one, side) for one in found] for side in ("expected", "given"))
    ours = macro_f1(label_columns(found, LABELS).sum(axis=0))
    assert float(ours) == pytest.approx(f1_score(expected, given, average="macro"))


def test_columns_pair_by_row():
    found = scores(20, 0.5)
    assert np.array_equal(label_columns(found, LABELS), label_columns(found[::-1], LABELS))


def test_metrics_have_intervals_and_pair():
    good, bad = classifier("run-1", 300, 0.9), classifier("run-2", 300, 0.3, loss=1.0)
    metrics = measure(good, {})
    assert set(metrics) == {
        *("test_accuracy", "test_macro_f1", "test_label_loss", "validation_label_loss"),
        *("test_confidence", "test_calibration_error"),
    }
    accuracy, f1 = metrics["test_accuracy"], metrics["test_macro_f1"]
    assert accuracy.value == sum(one.given == one.expected for one in good.labelled) / 300
    assert 0 < accuracy.low < accuracy.value < accuracy.high < 1
    assert abs(f1.value - accuracy.value) < 0.02
    assert 0.02 < f1.high - f1.low < 0.1
    assert metrics["test_label_loss"].value == 0.5
    assert compare(good, bad, {})["test_macro_f1"].low > 0.3


def sure(confidence, texts, right, first=0):
    """So many texts of which so many are labelled right."""
    return [
        LabelScore(f"row-{first + number:03}", "card", "card" if number < right else "refund", confidence)
        for number in range(texts)
    ]


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (sure(0.75, 40, 30), 0.0),
        (sure(1.0, 40, 40), 0.0),
        (sure(0.9, 40, 20), 0.4),
        (sure(0.1, 40, 40), 0.9),
        (sure(0.95, 30, 15) + sure(0.25, 10, 5, first=30), (30 * 0.45 + 10 * 0.25) / 40),
        (sure(0.92, 10, 10) + sure(0.98, 10, 9, first=10), 0.0),  # in one bin, which is right as often as it is sure
    ],
)
def test_calibration_is_the_distance_between_sure_and_right(found, error):
    assert float(calibration_error(calibration_columns(found).sum(axis=0))) == pytest.approx(error)
    assert np.array_equal(calibration_columns(found), calibration_columns(found[::-1]))


def test_a_model_that_is_too_sure_is_found_out():
    meek, bold = (
        Measured(name, labelled=scores(300, 0.7, sure=confidence), labels=LABELS)
        for name, confidence in (("run-1", 0.8), ("run-2", 0.99))  # both are right in 80 % of the texts
    )
    metrics, differences = measure(bold, {}), compare(bold, meek, {})
    assert metrics["test_confidence"].value == pytest.approx(0.99)
    assert 0.1 < metrics["test_calibration_error"].low < metrics["test_calibration_error"].high < 0.3
    assert measure(meek, {})["test_calibration_error"].value < 0.05
    assert differences["test_calibration_error"].low > 0.05
    assert differences["test_accuracy"].value == 0


def test_the_worst_confusions_come_first():
    pairs = [("card", "refund")] * 3 + [("refund", "card")] * 2 + [("card", "card")] * 5 + [("delivery", "card")]
    found = [LabelScore(f"row-{number}", *pair, 0.5) for number, pair in enumerate(pairs)]
    assert worst_confusions(found, most=2) == [Confusion("card", "refund", 3, 8), Confusion("refund", "card", 2, 2)]


@pytest.mark.parametrize(
    ("rows", "right", "least", "verdict"),
    [(300, 0.9, 0.8, "pass"), (300, 0.9, 0.99, "fail"), (300, 0.2, 0.1, "fail"), (60, 0.9, 0.8, "inconclusive")],
)
def test_the_gate_of_accuracy(rows, right, least, verdict):
    found = assess(
        GatesSection(loss=None, accuracy=least), classifier("run-1", rows, right), reference(rows), Context()
    )
    assert found.verdict == verdict
    assert f"of {rows} test texts labelled right" in found.gates[0].reason


def reference(rows):
    return classifier("run-2", rows, 0.6)


def test_labels_that_nobody_gave_are_inconclusive():
    found = assess(GatesSection(loss=None, accuracy=0.5), Measured("run-1"), Measured("run-2"), Context())
    assert (found.verdict, found.gates[0].reason) == (
        "inconclusive",
        "There are no test rows with a label or a rejected answer.",
    )


def test_the_report_shows_what_is_taken_for_what():
    found = assess(GatesSection(), classifier("run-1", 300, 0.9), reference(300), Context())
    report = render_report(found)
    assert "nats per text" in found.gates[0].reason
    assert "nats per token" not in report
    assert "| test macro-F1 " in report
    worst = found.confusions[0]
    [row] = [line for line in report.splitlines() if line.startswith(f"| {worst.expected} ") and worst.given in line]
    assert f"{worst.count}" in row
    assert found.to_json()["confusions"][0] == worst.to_json()
    assert len(found.answers_json()) == 300
    page = render_page(found, {})
    assert f"<td>{worst.expected}</td><td>{worst.given}</td>" in page
    assert "Is it surer of the right labels?" in page
    assert {answer["asked"] for answer in found.answers_json()} == {"label"}
