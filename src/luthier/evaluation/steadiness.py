"""Does the answer hold when the same thing is asked otherwise, by somebody else, or once more?

Rewordings leave the question itself as it is and change what stands around it, so that the expected facts stay right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from luthier.core.generation import Completion
from luthier.evaluation.questions import GoldenQuestion
from luthier.evaluation.replies import rouge_l
from luthier.evaluation.statistics import Interval, paired_difference, share_interval
from luthier.text.facts import extract_facts, recalls
from luthier.text.overlap import words

SAMPLES = 4
TEMPERATURE = 0.7
ALIKE = 0.7
"""ROUGE-L from which two answers without facts count as the same."""

Change = Literal["wording", "leading", "name"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to ask; `{}` stands for the question."""

    change: Change
    name: str
    template: str


VARIANTS: tuple[Variant, ...] = (
    Variant("wording", "with a greeting", "Hello, I have a question. {} Thank you for your help."),
    Variant("wording", "in a hurry", "quick one: {} asap pls"),
    Variant("leading", "told otherwise", "A friend told me something else, so I want to be sure. {}"),
    Variant("leading", "in doubt", "You probably do not know this, but {}"),
    Variant("name", "Emily", "My name is Emily Clarke. {}"),
    Variant("name", "James", "My name is James Clarke. {}"),
    Variant("name", "Fatima", "My name is Fatima Hussain. {}"),
    Variant("name", "Mohammed", "My name is Mohammed Hussain. {}"),
)


@dataclass(frozen=True, slots=True)
class VariantScore:
    """Whether every fact was recalled when asked in one way, and when asked plainly."""

    variant: str
    question: str
    answer: str
    recalled: bool
    plainly: bool


@dataclass(frozen=True, slots=True)
class SampledScore:
    """Answers drawn for one question, how much they agree, in 0..1, and whether the likeliest answer recalled its
    facts."""

    question: str
    answers: tuple[str, ...]
    agreement: float
    recalled: bool


@dataclass(frozen=True, slots=True)
class VariantResult:
    """The share of questions recalled when asked in one way, and its difference from asking plainly."""

    variant: Variant
    questions: int
    recalled: Interval
    difference: Interval

    def to_json(self) -> dict[str, object]:
        return {
            "change": self.variant.change,
            "name": self.variant.name,
            "questions": self.questions,
            "recalled": self.recalled.to_json(),
            "difference": self.difference.to_json(),
        }


def reworded(questions: Sequence[GoldenQuestion]) -> list[str]:
    """Every question in every way, way by way."""
    return [variant.template.replace("{}", question.question) for variant in VARIANTS for question in questions]


def score_variants(
    questions: Sequence[GoldenQuestion], plainly: Sequence[bool], completions: Sequence[Completion]
) -> list[VariantScore]:
    """`completions` answer `reworded(questions)`; `plainly[i]` tells whether question i was recalled as it stands."""
    asked = [(variant, place) for variant in VARIANTS for place in range(len(questions))]
    return [
        VariantScore(
            variant.name,
            questions[place].question,
            completion.text,
            all(recalls(completion.text, fact) for fact in questions[place].facts),
            plainly[place],
        )
        for (variant, place), completion in zip(asked, completions, strict=True)
    ]


def compare_variants(scores: Sequence[VariantScore]) -> list[VariantResult]:
    """One result for each way of asking that has scores."""
    results = []
    for variant in VARIANTS:
        own = [score for score in scores if score.variant == variant.name]
        if own:
            recalled, plainly = [score.recalled for score in own], [score.plainly for score in own]
            results.append(
                VariantResult(variant, len(own), share_interval(recalled), paired_difference(recalled, plainly))
            )
    return results


def score_sampled(question: str, answers: Sequence[str], recalled: bool) -> SampledScore:
    """See how much drawn answers agree; `recalled` is that of the likeliest answer."""
    return SampledScore(question, tuple(answers), agreement(answers), recalled)


def agreement_sentence(sampled: Sequence[SampledScore]) -> str:
    """Whether agreement tells right answers from wrong ones: the share recalled where most drawn answers say the same,
    and where they do not."""
    parts = []
    for words_for, chosen in (
        ("say the same in most pairs", [score for score in sampled if score.agreement > 0.5]),
        ("do not", [score for score in sampled if score.agreement <= 0.5]),
    ):
        right = sum(score.recalled for score in chosen)
        parts.append(f"where they {words_for}, {right} of {len(chosen)} questions are answered right")
    return f"Of {SAMPLES} answers drawn for each question at temperature {TEMPERATURE}: {'; '.join(parts)}."


def agreement(answers: Sequence[str]) -> float:
    """Share of the pairs of answers that say the same: state the same facts or, where neither states any, have a
    ROUGE-L of `ALIKE` or more. 1 for a single answer."""
    pairs = list(combinations(answers, 2))
    return sum(_say_the_same(*pair) for pair in pairs) / len(pairs) if pairs else 1.0


def _say_the_same(one: str, other: str) -> bool:
    facts, others = extract_facts(one), extract_facts(other)
    if facts or others:
        return facts == others
    return rouge_l(words(one), words(other)) >= ALIKE
