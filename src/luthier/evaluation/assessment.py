"""All that an evaluation found, side by side for two models, and what the gates made of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from luthier.core.errors import EvaluationError
from luthier.core.identity import content_id
from luthier.core.recipe import GatesSection
from luthier.evaluation.classification import Confusion, LabelScore, worst_confusions
from luthier.evaluation.diagnosis import Diagnosis
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.gates import GateResult, Leak, Verdict, judge, overall
from luthier.evaluation.losses import loss_difference, refuse_broken, refuse_unpaired
from luthier.evaluation.measured import HeldOutRow, Measured
from luthier.evaluation.metrics import compare, measure
from luthier.evaluation.replies import ReplyScore
from luthier.evaluation.skills import SkillScore, lost_skills
from luthier.evaluation.slices import Slice, find_slices
from luthier.evaluation.statistics import Interval
from luthier.evaluation.steadiness import SampledScore, VariantResult, VariantScore, compare_variants

Score = TypeVar("Score", AnswerScore, ReplyScore, SkillScore, LabelScore)
_TIMED = frozenset({"answer_seconds"})


@dataclass(frozen=True, slots=True)
class Context:
    """What is known beside the two models: the test rows by id, the base model's own measurements of general text and
    skills, leaks of what is tested into training (None where nobody looked), and what the training's curves say."""

    held_out: Mapping[str, HeldOutRow] = field(default_factory=dict)
    base: Measured | None = None
    leaks: Sequence[Leak] | None = None
    diagnosis: Diagnosis | None = None


@dataclass(frozen=True, slots=True)
class Forgetting:
    """The rise of the loss on general text beside the base model, in nats per token, and the skills that were lost."""

    base: str
    rise: Interval
    lost: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {"base": self.base, "rise": self.rise.to_json(), "lost": list(self.lost)}


@dataclass(frozen=True, slots=True)
class Assessment:
    """Metrics by name for the candidate and the reference, their paired differences (candidate less reference), the
    same for parts of the examples, results of the gates, and all answers.

    `answers`, `replies`, `skills` and `labelled` pair the scores of candidate and reference, one by one. `diagnosis` is
    that of the candidate's training, None for a model that was not trained here. `variants` tell how well the candidate
    answers questions that are asked otherwise; `otherwise` and `drawn` are its answers to them, and those drawn.
    """

    candidate: str
    reference: str
    metrics: Mapping[str, Interval]
    reference_metrics: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    slices: tuple[Slice, ...]
    gates: tuple[GateResult, ...]
    forgetting: Forgetting | None
    diagnosis: Diagnosis | None
    variants: tuple[VariantResult, ...]
    answers: tuple[tuple[AnswerScore, AnswerScore], ...] = field(repr=False)
    replies: tuple[tuple[ReplyScore, ReplyScore], ...] = field(repr=False)
    skills: tuple[tuple[SkillScore, SkillScore], ...] = field(repr=False)
    labelled: tuple[tuple[LabelScore, LabelScore], ...] = field(default=(), repr=False)
    otherwise: tuple[VariantScore, ...] = field(default=(), repr=False)
    drawn: tuple[SampledScore, ...] = field(default=(), repr=False)

    @property
    def verdict(self) -> Verdict:
        return overall(self.gates)

    @property
    def id(self) -> str:
        """Made from the content: the same findings about the same models have the same id. Times do not count."""
        content = self._content()
        for name in ("metrics", "reference_metrics", "differences"):
            content[name] = {key: value for key, value in self._figures(name).items() if key not in _TIMED}
        return content_id("evaluation", {**content, "answers": self.answers_json()})

    def to_json(self) -> dict[str, object]:
        """What `luthier evaluate --json` prints, without the answers; plain JSON values."""
        return {"evaluation": self.id, **self._content()}

    def answers_json(self) -> list[dict[str, object]]:
        """One object a golden question, prompt of a test row, task of a skill or label of a test row, told apart by
        `asked`, with the answer of both models and its score; and one a question asked otherwise or drawn again, with
        those of the candidate."""
        questions = [_pair_json(*pair, _question_json, _answer_json) for pair in self.answers]
        replies = [_pair_json(*pair, _prompt_json, _reply_json) for pair in self.replies]
        skills = [_pair_json(*pair, _task_json, _skill_json) for pair in self.skills]
        labels = [_pair_json(*pair, _row_json, _label_json) for pair in self.labelled]
        otherwise = [_variant_json(score) for score in self.otherwise]
        return questions + replies + skills + labels + otherwise + [_drawn_json(score) for score in self.drawn]

    @property
    def confusions(self) -> list[Confusion]:
        """The labels that the candidate takes for others most often."""
        return worst_confusions([ours for ours, _ in self.labelled])

    def _figures(self, name: str) -> dict[str, object]:
        figures: Mapping[str, Interval] = getattr(self, name)
        return {key: interval.to_json() for key, interval in figures.items()}

    def _content(self) -> dict[str, object]:
        return {
            "verdict": self.verdict,
            "candidate": self.candidate,
            "reference": self.reference,
            "metrics": self._figures("metrics"),
            "reference_metrics": self._figures("reference_metrics"),
            "differences": self._figures("differences"),
            "slices": [one.to_json() for one in self.slices],
            "confusions": [one.to_json() for one in self.confusions],
            "gates": [gate.to_json() for gate in self.gates],
            "forgetting": self.forgetting.to_json() if self.forgetting else None,
            "diagnosis": self.diagnosis.to_json() if self.diagnosis else None,
            "variants": [one.to_json() for one in self.variants],
        }


def assess(gates: GatesSection, candidate: Measured, reference: Measured, context: Context) -> Assessment:
    """Compute every metric of both models and let the gates judge.

    Both must have been measured on the same rows, questions, prompts and tasks, with losses that are numbers;
    EvaluationError says where they were not.
    """
    _refuse_unpaired(candidate, reference)
    for one in (candidate, reference):
        refuse_broken([*one.test, *one.validation, *one.general], one.model)
    return Assessment(
        candidate=candidate.model,
        reference=reference.model,
        metrics=measure(candidate, context.held_out),
        reference_metrics=measure(reference, context.held_out),
        differences=compare(candidate, reference, context.held_out),
        slices=tuple(find_slices(candidate, reference, context.held_out)),
        gates=tuple(judge(gates, candidate, reference, context.base, context.leaks)),
        forgetting=_forgetting(candidate, context.base),
        diagnosis=context.diagnosis,
        variants=tuple(compare_variants(candidate.variants)),
        answers=tuple(zip(candidate.answers, reference.answers, strict=True)),
        replies=tuple(zip(candidate.replies, reference.replies, strict=True)),
        skills=tuple(zip(candidate.skills, reference.skills, strict=True)),
        labelled=tuple(zip(candidate.labelled, reference.labelled, strict=True)),
        otherwise=tuple(candidate.variants),
        drawn=tuple(candidate.sampled),
    )


def _refuse_unpaired(candidate: Measured, reference: Measured) -> None:
    asked = (
        ("questions", [one.question for one in candidate.answers], [one.question for one in reference.answers]),
        ("test rows", [one.row_id for one in candidate.replies], [one.row_id for one in reference.replies]),
        ("tasks", [one.prompt for one in candidate.skills], [one.prompt for one in reference.skills]),
        ("texts", [one.row_id for one in candidate.labelled], [one.row_id for one in reference.labelled]),
        ("pairs", [one.row_id for one in candidate.preferences], [one.row_id for one in reference.preferences]),
    )
    for what, ours, theirs in asked:
        if ours != theirs:
            raise EvaluationError(
                f"{candidate.model} and {reference.model} did not answer the same {what} in one order"
            )
    refuse_unpaired(candidate.test, reference.test)
    refuse_unpaired(candidate.validation, reference.validation)


def _forgetting(candidate: Measured, base: Measured | None) -> Forgetting | None:
    if base is None or not candidate.general or not base.general:
        return None
    rise = loss_difference(candidate.general, base.general)
    return Forgetting(base.model, rise, tuple(lost_skills(candidate.skills, base.skills)))


def _pair_json(
    ours: Score,
    theirs: Score,
    asked: Callable[[Score], dict[str, object]],
    answered: Callable[[Score], dict[str, object]],
) -> dict[str, object]:
    return {**asked(ours), "candidate": answered(ours), "reference": answered(theirs)}


def _variant_json(score: VariantScore) -> dict[str, object]:
    answered = {"answer": score.answer, "recalled": score.recalled, "plainly": score.plainly}
    return {"asked": "otherwise", "way": score.variant, "question": score.question, "candidate": answered}


def _drawn_json(score: SampledScore) -> dict[str, object]:
    answered = {"answers": list(score.answers), "agreement": score.agreement, "recalled": score.recalled}
    return {"asked": "again", "question": score.question, "candidate": answered}


def _question_json(score: AnswerScore) -> dict[str, object]:
    return {"asked": "question", "question": score.question, "topic": score.topic, "expected": list(score.expected)}


def _prompt_json(score: ReplyScore) -> dict[str, object]:
    return {"asked": "test row", "row": score.row_id, "question": score.prompt, "expected": score.expected}


def _task_json(score: SkillScore) -> dict[str, object]:
    return {"asked": "skill", "skill": score.skill, "question": score.prompt}


def _row_json(score: LabelScore) -> dict[str, object]:
    return {"asked": "label", "row": score.row_id, "expected": score.expected}


def _label_json(score: LabelScore) -> dict[str, object]:
    return {"answer": score.given, "right": score.given == score.expected, "confidence": score.confidence}


def _skill_json(score: SkillScore) -> dict[str, object]:
    return {"answer": score.answer, "passed": score.passed}


def _answer_json(score: AnswerScore) -> dict[str, object]:
    return {
        "answer": score.answer,
        "recalled": score.recalled,
        "wrong": list(score.wrong),
        "unsupported": list(score.unsupported),
        "refused": score.refused,
        "never_stopped": score.never_stopped,
    }


def _reply_json(score: ReplyScore) -> dict[str, object]:
    return {
        "answer": score.answer,
        "exact": score.exact,
        "facts": score.facts,
        "facts_matched": score.facts_matched,
        "rouge_1": score.rouge_1,
        "rouge_l": score.rouge_l,
        "chrf": score.chrf,
    }
