"""An assessment as one page for people who do not train models: the verdict first, in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from luthier.evaluation.assessment import Assessment
from luthier.evaluation.chart import curves_svg
from luthier.evaluation.diagnosis import Curve
from luthier.evaluation.gates import Verdict
from luthier.evaluation.metrics import METRIC_OF, METRICS, SKILLS, Metric
from luthier.evaluation.report import (
    VERDICTS,
    AnswerPair,
    choose_examples,
    difference_text,
    figure_text,
    forgetting_sentence,
    remarks,
    variant_text,
    worst_answers,
)
from luthier.evaluation.statistics import Interval
from luthier.evaluation.steadiness import VariantResult, agreement_sentence
from luthier.text.pages import fill_page

WORST = 10
GAINED = 5

GATE_QUESTIONS: Mapping[str, str] = {
    "loss": "Does it write like your people do?",
    "facts": "Does it know the facts?",
    "accuracy": "Does it give the right labels, or prefer what people do?",
    "unsupported_facts": "Does it stick to what it was taught?",
    "forgetting": "Has it kept enough of what it knew before?",
    "latency": "Is it fast enough?",
    "leakage": "Was the test fair?",
    "evaluation.gates": "What must it reach?",
}
"""What each gate asks, in the words of somebody who answers customers."""
ANSWERS: Mapping[Verdict, str] = {"pass": "Yes", "fail": "No", "inconclusive": "Cannot tell"}
TONES: Mapping[Verdict, str] = {"pass": "yes", "fail": "no", "inconclusive": "partly"}
HEADLINES = (
    *("test_accuracy", "test_macro_f1", "preference_accuracy"),
    *("facts_recalled", "facts_wrong", "facts_unsupported", "never_stopped"),
)
_ORDER: tuple[Verdict, ...] = ("fail", "inconclusive", "pass")


@dataclass(frozen=True, slots=True)
class FigureRow:
    """A line of the table: both figures as text, the difference, and whether it is for better or worse."""

    label: str
    candidate: str
    reference: str
    difference: str
    change: str


def render_page(assessment: Assessment, curves: Mapping[str, Curve]) -> str:
    """HTML of an assessment, its values escaped; `curves` may hold those of the run, `train` and `validation`."""
    template = files("luthier.evaluation").joinpath("report_page.html").read_text(encoding="utf-8")
    gates = sorted(assessment.gates, key=lambda gate: _ORDER.index(gate.verdict))
    right, _ = choose_examples(assessment.answers, GAINED)
    diagnosis = assessment.diagnosis
    mark = diagnosis.step if diagnosis else None
    return fill_page(
        template,
        assessment=assessment,
        verdict=VERDICTS[assessment.verdict],
        tone=TONES[assessment.verdict],
        gates=[
            (_question(gate.gate, assessment), ANSWERS[gate.verdict], TONES[gate.verdict], gate.reason)
            for gate in gates
        ],
        headlines=_headlines(assessment),
        chart=curves_svg(curves.get("train", ()), curves.get("validation", ()), mark),
        rows=figure_rows(assessment),
        forgotten=forgetting_sentence(assessment.forgetting) if assessment.forgetting else "",
        skills=_skills(assessment),
        slices=[
            (one, METRIC_OF[one.metric].label, *_pair(METRIC_OF[one.metric], one.candidate, one.reference))
            for one in assessment.slices
        ],
        drawn=agreement_sentence(assessment.drawn) if assessment.drawn else "",
        variants=[(variant_text(one), one.questions, *_variant_figures(one)) for one in assessment.variants],
        worst=[_shown(pair) for pair in worst_answers(assessment.answers, WORST)],
        gained=[_shown(pair) for pair in right if not pair[1].recalled],
    )


def figure_rows(assessment: Assessment) -> list[FigureRow]:
    """The table of all metrics that either model has."""
    return [
        FigureRow(
            metric.label,
            figure_text(metric, assessment.metrics.get(metric.name)),
            figure_text(metric, assessment.reference_metrics.get(metric.name)),
            difference_text(metric, assessment.differences.get(metric.name)),
            change_of(metric, assessment.differences.get(metric.name)),
        )
        for metric in METRICS
        if metric.name in assessment.metrics or metric.name in assessment.reference_metrics
    ]


def change_of(metric: Metric, difference: Interval | None) -> str:
    """`better`, `worse`, `other` where no way is better, or nothing where the difference may be chance."""
    if difference is None or difference.low <= 0 <= difference.high:
        return ""
    if metric.better == "neither":
        return "other"
    return "better" if (difference.high < 0) == (metric.better == "lower") else "worse"


def _headlines(assessment: Assessment) -> list[tuple[str, str, str]]:
    """(label, now, before) of the figures that say most, without intervals."""
    return [
        (
            METRIC_OF[name].label,
            f"{assessment.metrics[name].value:.0%}",
            f"{assessment.reference_metrics[name].value:.0%}",
        )
        for name in HEADLINES
        if name in assessment.metrics and name in assessment.reference_metrics
    ]


def _question(gate: str, assessment: Assessment) -> str:
    of_labels = gate == "loss" and assessment.labelled
    return "Is it surer of the right labels?" if of_labels else GATE_QUESTIONS[gate]


def _skills(assessment: Assessment) -> list[tuple[str, str, str]]:
    """(skill, tasks passed now, before)"""
    rows = []
    for skill in SKILLS:
        pairs = [pair for pair in assessment.skills if pair[0].skill == skill]
        if pairs:
            now, before = (sum(pair[place].passed for pair in pairs) for place in (0, 1))
            rows.append((skill, f"{now} of {len(pairs)}", f"{before} of {len(pairs)}"))
    return rows


def _pair(metric: Metric, *intervals: Interval) -> Sequence[str]:
    return [figure_text(metric, interval) for interval in intervals]


def _variant_figures(one: VariantResult) -> tuple[str, str, str]:
    """(share recalled, difference from asking plainly, whether that is for better or worse)"""
    metric = METRIC_OF["facts_recalled"]
    return figure_text(metric, one.recalled), difference_text(metric, one.difference), change_of(metric, one.difference)


def _shown(pair: AnswerPair) -> Mapping[str, object]:
    ours, theirs = pair
    return {
        "question": ours.question,
        "expected": ", ".join(ours.expected),
        "candidate": ours.answer,
        "reference": theirs.answer,
        "candidate_remarks": remarks(ours),
        "reference_remarks": remarks(theirs),
    }
