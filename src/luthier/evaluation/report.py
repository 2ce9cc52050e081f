"""An assessment as Markdown that reads well in a terminal too: verdict first, then figures, then answers."""

from collections.abc import Sequence

from luthier.evaluation.assessment import Assessment
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import Verdict
from luthier.evaluation.statistics import Interval

_VERDICTS: dict[Verdict, str] = {
    "pass": "PASS: this run may be released.",
    "fail": "FAIL: this run must not be released.",
    "inconclusive": "INCONCLUSIVE: there is not enough evidence to release this run.",
}
_LABELS = {
    "validation_loss": "validation loss (nats per token)",
    "validation_perplexity": "validation perplexity",
    "test_loss": "test loss (nats per token)",
    "test_perplexity": "test perplexity",
    "facts_recalled": "questions with every fact recalled",
    "facts_wrong": "answers with a wrong fact",
    "never_stopped": "answers that never stopped",
}
_SHARES = frozenset({"facts_recalled", "facts_wrong", "never_stopped"})
_ANSWER_CHARACTERS = 200

AnswerPair = tuple[AnswerScore, AnswerScore]


def render_report(assessment: Assessment, examples: int = 3) -> str:
    """The report as Markdown. `examples` answers that are right and as many that are not are shown."""
    parts = [
        f"# Evaluation of {assessment.candidate}",
        f"**{_VERDICTS[assessment.verdict]}**",
        "\n".join(f"- {gate.gate}: {gate.verdict}. {gate.reason}" for gate in assessment.gates),
    ]
    if assessment.diagnosis:
        found = assessment.diagnosis
        parts += ["## How the training went", f"**{found.state.capitalize()}.** {found.sentence} {found.advice}"]
    if assessment.metrics:
        parts += ["## Figures (95 % interval in brackets)", _table(_metric_rows(assessment))]
    for title, pairs in zip(("Right", "Wrong"), choose_examples(assessment.answers, examples), strict=True):
        if pairs:
            parts.append(f"## {title} answers")
            parts += [_example(pair, assessment) for pair in pairs]
    return "\n\n".join(parts) + "\n"


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
    header = ("", assessment.candidate, assessment.reference)
    columns = (assessment.metrics, assessment.reference_metrics)
    return [
        header,
        *(
            (label, *(_figure(name, metrics.get(name)) for metrics in columns))
            for name, label in _LABELS.items()
            if any(name in metrics for metrics in columns)
        ),
    ]


def _figure(name: str, interval: Interval | None) -> str:
    if interval is None:
        return "-"
    style = ".1%" if name in _SHARES else ".3f" if name.endswith("loss") else ".2f"
    return f"{interval.value:{style}} [{interval.low:{style}}, {interval.high:{style}}]"


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
            f"- {assessment.candidate}: {_one_line(ours.answer)}{_remarks(ours)}",
            f"- {assessment.reference}: {_one_line(theirs.answer)}{_remarks(theirs)}",
        ]
    )


def _remarks(score: AnswerScore) -> str:
    remarks = [f"wrong: {', '.join(score.wrong)}"] if score.wrong else []
    remarks += ["never stopped"] if score.never_stopped else []
    return f" ({'right' if score.recalled else 'not recalled'}{''.join(f'; {remark}' for remark in remarks)})"


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _ANSWER_CHARACTERS else f"{line[:_ANSWER_CHARACTERS].rstrip()}…"
