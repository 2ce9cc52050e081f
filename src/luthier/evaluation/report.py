"""An assessment as Markdown that reads well in a terminal too: verdict first, then figures, then answers."""

from collections.abc import Sequence

from luthier.evaluation.assessment import Assessment, Forgetting
from luthier.evaluation.classification import Confusion
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import Verdict
from luthier.evaluation.metrics import METRIC_OF, METRICS, Metric, Unit
from luthier.evaluation.slices import Slice
from luthier.evaluation.statistics import Interval
from luthier.evaluation.steadiness import VariantResult, agreement_sentence

VERDICTS: dict[Verdict, str] = {
    "pass": "PASS: this run may be released.",
    "fail": "FAIL: this run must not be released.",
    "inconclusive": "INCONCLUSIVE: there is not enough evidence to release this run.",
}
_STYLES: dict[Unit, str] = {
    "nats": ".3f", "bits": ".3f", "share": ".1%", "number": ".2f", "points": ".1f", "seconds": ".2f"
}  # fmt: skip
_ANSWER_CHARACTERS = 200

AnswerPair = tuple[AnswerScore, AnswerScore]


def render_report(assessment: Assessment, examples: int = 3) -> str:
    """The report as Markdown. `examples` answers that are right and as many that are not are shown."""
    parts = [
        f"# Evaluation of {assessment.candidate}",
        f"**{VERDICTS[assessment.verdict]}**",
        "\n".join(f"- {gate.gate}: {gate.verdict}. {gate.reason}" for gate in assessment.gates),
    ]
    if assessment.diagnosis:
        found = assessment.diagnosis
        parts += ["## How the training went", f"**{found.state.capitalize()}.** {found.sentence} {found.advice}"]
    if assessment.metrics:
        parts += ["## Figures (95 % interval in brackets)", _table(_metric_rows(assessment))]
    if assessment.forgetting:
        parts += ["## What was forgotten", forgetting_sentence(assessment.forgetting)]
    if assessment.confusions:
        parts += ["## Labels taken for others", _table(_confusion_rows(assessment.confusions))]
    if assessment.variants:
        parts += ["## Asked otherwise", _table(_variant_rows(assessment.variants))]
    if assessment.drawn:
        parts.append(agreement_sentence(assessment.drawn))
    if assessment.slices:
        parts += ["## Parts", _table(_slice_rows(assessment.slices))]
    for title, pairs in zip(("Right", "Wrong"), choose_examples(assessment.answers, examples), strict=True):
        if pairs:
            parts.append(f"## {title} answers")
            parts += [_example(pair, assessment) for pair in pairs]
    return "\n\n".join(parts) + "\n"


def worst_answers(answers: Sequence[AnswerPair], most: int) -> list[AnswerPair]:
    """Up to `most` answers of the candidate that people should read first.

    Those that were right before and are not now, then those with a wrong fact, then with one that nothing supports,
    then those that never stopped, then the others without every fact. Right answers without a fault are none of them.
    """
    ranked = []
    for place, (ours, theirs) in enumerate(answers):
        faults = (
            not ours.recalled and theirs.recalled,
            bool(ours.wrong),
            bool(ours.unsupported),
            ours.never_stopped,
            not ours.recalled,
        )
        if any(faults):
            ranked.append(([not fault for fault in faults], place))
    return [answers[place] for _, place in sorted(ranked)[:most]]


def forgetting_sentence(found: Forgetting) -> str:
    """The rise of the loss on general text, and the skills that went with it."""
    lost = f"Lost beyond chance: {', '.join(found.lost)}." if found.lost else "No general skill was lost beyond chance."
    return (
        f"The loss on general text changed by {found.rise.value:+.3f} nats per token beside {found.base} "
        f"[{found.rise.low:+.3f}, {found.rise.high:+.3f}]. {lost}"
    )


def choose_examples(answers: Sequence[AnswerPair], most: int) -> tuple[list[AnswerPair], list[AnswerPair]]:
    """Up to `most` answers of the candidate that are right and as many that are not.

    First among the right ones: those the reference got wrong. Among the others: those it got right, then those that
    state a wrong fact.
    """
    right = sorted((pair for pair in answers if pair[0].recalled), key=lambda pair: pair[1].recalled)
    wrong = sorted(
        (pair for pair in answers if not pair[0].recalled), key=lambda pair: (not pair[1].recalled, not pair[0].wrong)
    )
    return right[:most], wrong[:most]


def _metric_rows(assessment: Assessment) -> list[tuple[str, ...]]:
    header = ("", assessment.candidate, assessment.reference, "difference")
    columns = (assessment.metrics, assessment.reference_metrics)
    return [
        header,
        *(
            (
                metric.label,
                *(figure_text(metric, metrics.get(metric.name)) for metrics in columns),
                difference_text(metric, assessment.differences.get(metric.name)),
            )
            for metric in METRICS
            if any(metric.name in metrics for metrics in columns)
        ),
    ]


def _confusion_rows(confusions: Sequence[Confusion]) -> list[tuple[str, ...]]:
    header = ("label", "given", "texts", "of those with the label")
    return [header, *((one.expected, one.given, str(one.count), f"{one.count / one.of:.1%}") for one in confusions)]


def _slice_rows(slices: Sequence[Slice]) -> list[tuple[str, ...]]:
    return [
        ("part", "examples", "", "difference"),
        *(
            (
                f"{one.by}: {one.name}",
                str(one.examples),
                METRIC_OF[one.metric].label,
                difference_text(METRIC_OF[one.metric], one.difference),
            )
            for one in slices
        ),
    ]


def _variant_rows(variants: Sequence[VariantResult]) -> list[tuple[str, ...]]:
    recalled = METRIC_OF["facts_recalled"]
    return [
        ("asked", "questions", recalled.label, "beside asking plainly"),
        *(
            (
                variant_text(one),
                str(one.questions),
                figure_text(recalled, one.recalled),
                difference_text(recalled, one.difference),
            )
            for one in variants
        ),
    ]


def variant_text(result: VariantResult) -> str:
    """How the question was asked, in a few words."""
    variant = result.variant
    return f"by {variant.name}" if variant.change == "name" else variant.name


def figure_text(metric: Metric, interval: Interval | None) -> str:
    """A figure with its interval in brackets, a dash for none."""
    if interval is None:
        return "-"
    style = _STYLES[metric.unit]
    return f"{interval.value:{style}} [{interval.low:{style}}, {interval.high:{style}}]"


def difference_text(metric: Metric, interval: Interval | None) -> str:
    """A difference with its sign and interval; shares in percentage points."""
    if interval is None:
        return "-"
    scale, style = (100, "+.1f") if metric.unit == "share" else (1, f"+{_STYLES[metric.unit]}")
    value, low, high = (scale * number for number in (interval.value, interval.low, interval.high))
    return f"{value:{style}} [{low:{style}}, {high:{style}}]"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _example(pair: AnswerPair, assessment: Assessment) -> str:
    ours, theirs = pair
    return "\n".join(
        [
            f"**{_one_line(ours.question)}** (expected: {', '.join(ours.expected)})",
            f"- {assessment.candidate}: {_one_line(ours.answer)}{_in_brackets(ours)}",
            f"- {assessment.reference}: {_one_line(theirs.answer)}{_in_brackets(theirs)}",
        ]
    )


def remarks(score: AnswerScore) -> str:
    """What was found in an answer, in a few words."""
    found = ["right" if score.recalled else "not recalled"]
    found += [f"wrong: {', '.join(score.wrong)}"] if score.wrong else []
    found += [f"unsupported: {', '.join(score.unsupported)}"] if score.unsupported else []
    found += ["never stopped"] if score.never_stopped else []
    return "; ".join(found)


def _in_brackets(score: AnswerScore) -> str:
    return f" ({remarks(score)})"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER_CHARACTERS else f"{line[:_ANSWER_CHARACTERS].rstrip()}…"
