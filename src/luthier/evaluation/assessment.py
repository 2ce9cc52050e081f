"""All that an evaluation found, side by side for two models, and what the gates made of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from luthier.core.errors import EvaluationError
from luthier.core.identity import content_id
from luthier.core.recipe import GatesSection
from luthier.evaluation.diagnosis import Diagnosis
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import GateResult, Measured, Verdict, judge, overall
from luthier.evaluation.losses import loss_interval, perplexity
from luthier.evaluation.statistics import Interval, share_interval


@dataclass(frozen=True, slots=True)
class Assessment:
    """Metrics by name for the candidate and the reference, results of the gates, and the answers of both.

    Losses are in nats per target token; `facts_recalled`, `facts_wrong` and `never_stopped` are shares of questions.
    `answers` pairs the scores of candidate and reference, question by question. `diagnosis` is that of the candidate's
    training, None for a model that was not trained here.
    """

    candidate: str
    reference: str
    metrics: Mapping[str, Interval]
    reference_metrics: Mapping[str, Interval]
    gates: tuple[GateResult, ...]
    answers: tuple[tuple[AnswerScore, AnswerScore], ...]
    diagnosis: Diagnosis | None = None

    @property
    def verdict(self) -> Verdict:
        return overall(self.gates)

    @property
    def id(self) -> str:
        """Made from the content: the same findings about the same models have the same id."""
        return content_id("evaluation", {**self._content(), "answers": self.answers_json()})

    def to_json(self) -> dict[str, object]:
        """What `luthier evaluate --json` prints, without the answers; plain JSON values."""
        return {"evaluation": self.id, **self._content()}

    def answers_json(self) -> list[dict[str, object]]:
        """One object a question, with the answer of both models and its score."""
        return [
            {
                "question": ours.question,
                "expected": list(ours.expected),
                "candidate": _answer_json(ours),
                "reference": _answer_json(theirs),
            }
            for ours, theirs in self.answers
        ]

    def _content(self) -> dict[str, object]:
        return {
            "verdict": self.verdict,
            "candidate": self.candidate,
            "reference": self.reference,
            "metrics": {name: interval.to_json() for name, interval in self.metrics.items()},
            "reference_metrics": {name: interval.to_json() for name, interval in self.reference_metrics.items()},
            "gates": [gate.to_json() for gate in self.gates],
            "diagnosis": self.diagnosis.to_json() if self.diagnosis else None,
        }


def assess(
    gates: GatesSection, candidate: Measured, reference: Measured, diagnosis: Diagnosis | None = None
) -> Assessment:
    """Compute every metric of both models and let the gates judge; `diagnosis` is passed on.

    Both must have been measured on the same rows and questions; EvaluationError says where they were not.
    """
    if [score.question for score in candidate.answers] != [score.question for score in reference.answers]:
        raise EvaluationError(f"{candidate.model} and {reference.model} did not answer the same questions in one order")
    return Assessment(
        candidate=candidate.model,
        reference=reference.model,
        metrics=measure(candidate),
        reference_metrics=measure(reference),
        gates=tuple(judge(gates, candidate, reference)),
        answers=tuple(zip(candidate.answers, reference.answers, strict=True)),
        diagnosis=diagnosis,
    )


def measure(measured: Measured) -> dict[str, Interval]:
    """The metrics of one model: those for which there are rows or answers."""
    metrics: dict[str, Interval] = {}
    for split, rows in (("validation", measured.validation), ("test", measured.test)):
        if rows:
            metrics[f"{split}_loss"] = loss_interval(rows)
            metrics[f"{split}_perplexity"] = perplexity(metrics[f"{split}_loss"])
    if measured.answers:
        metrics["facts_recalled"] = share_interval([score.recalled for score in measured.answers])
        metrics["facts_wrong"] = share_interval([bool(score.wrong) for score in measured.answers])
        metrics["never_stopped"] = share_interval([score.never_stopped for score in measured.answers])
    return metrics


def _answer_json(score: AnswerScore) -> dict[str, object]:
    return {
        "answer": score.answer,
        "recalled": score.recalled,
        "wrong": list(score.wrong),
        "never_stopped": score.never_stopped,
    }
