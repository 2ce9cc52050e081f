"""Scores of the answers to golden questions."""

from collections.abc import Sequence
from dataclasses import dataclass

from luthier.core.generation import Completion
from luthier.evaluation.questions import GoldenQuestion
from luthier.text.facts import recalls, wrong_facts
from luthier.text.overlap import count_words
from luthier.text.refusals import is_refusal
from luthier.text.unsupported import Support, unsupported_facts


@dataclass(frozen=True, slots=True)
class AnswerScore:
    """One answer and what is in it. `wrong` holds facts that contradict the expected ones, in their one spelling;
    `unsupported` values and names that neither question, expected facts nor training rows state."""

    question: str
    expected: tuple[str, ...]
    answer: str
    recalled: bool
    wrong: tuple[str, ...]
    never_stopped: bool
    topic: str = ""
    unsupported: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the answer declines the question."""
        return is_refusal(self.answer)

    @property
    def words(self) -> int:
        return count_words(self.answer)


def score_answer(question: GoldenQuestion, completion: Completion, trained: Support) -> AnswerScore:
    """Recalled: every fact of the question is stated. Never stopped: cut off at the limit of new tokens. `trained` is
    what the training rows state."""
    answer = completion.text
    wrong = wrong_facts(answer, question.facts, allowed=question.question)
    support = trained.and_of([question.question, *question.facts])
    return AnswerScore(
        question=question.question,
        expected=question.facts,
        answer=answer,
        recalled=all(recalls(answer, fact) for fact in question.facts),
        wrong=tuple(sorted(fact.value for fact in wrong)),
        never_stopped=completion.finish_reason == "length",
        topic=question.topic,
        unsupported=tuple(found.value for found in unsupported_facts(answer, support)),
    )


def score_answers(
    questions: Sequence[GoldenQuestion], completions: Sequence[Completion], trained: Support
) -> list[AnswerScore]:
    """One score a question; `completions[i]` answers `questions[i]`."""
    return [score_answer(*pair, trained) for pair in zip(questions, completions, strict=True)]
