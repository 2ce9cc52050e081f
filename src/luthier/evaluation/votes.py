"""Two models side by side: which answer do people prefer, and does a judge model agree with them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from luthier.core.identity import content_id
from luthier.evaluation.statistics import Interval, mean_interval, share_interval

Winner = Literal["one", "other", "tie"]
Ask = Callable[[str], str | None]
"""A judge: a prompt to its reply, None where it gave none in time."""

_POINTS: Mapping[Winner, float] = {"one": 1.0, "tie": 0.5, "other": 0.0}
_REPLY = re.compile(r"\b(1|2|tie)\b", re.IGNORECASE)
_PROMPT = """A customer asked a support assistant:
{question}

Answer 1:
{first}

Answer 2:
{second}

Which answer helps the customer more? Correctness counts most, then brevity.
Reply with 1, 2 or tie, and nothing else."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and the answers of the two models; `swapped` tells whether the second model's is shown first."""

    question: str
    one: str
    other: str
    swapped: bool

    @property
    def shown(self) -> tuple[str, str]:
        """The answers in the order in which they are shown."""
        return (self.other, self.one) if self.swapped else (self.one, self.other)

    def winner(self, choice: Literal["1", "2", "tie"]) -> Winner:
        """Whose answer was chosen by its place."""
        if choice == "tie":
            return "tie"
        return "one" if (choice == "1") != self.swapped else "other"


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge said of each question: no winner where its reply was none of those asked for, or did not come.

    `position_decided` counts the questions where the other order made it choose the other model; they are ties.
    """

    winners: Mapping[str, Winner]
    unusable: int
    position_decided: int


@dataclass(frozen=True, slots=True)
class Preference:
    """Votes for one model against another: the share it wins, ties half, with its interval."""

    votes: int
    win_rate: Interval

    def to_json(self) -> dict[str, object]:
        return {"votes": self.votes, "win_rate": self.win_rate.to_json()}


def pairs_of(questions: Sequence[str], ones: Sequence[str], others: Sequence[str]) -> list[Pair]:
    """The pairs whose answers differ, in the order of the questions.

    Which answer is shown first depends on the question and both answers alone: nobody can tell the models apart by
    their place, and it is the same tomorrow.
    """
    return [
        Pair(question, one, other, int(content_id("pair", [question, one, other])[-1], 16) % 2 == 1)
        for question, one, other in zip(questions, ones, others, strict=True)
        if one.strip() != other.strip()
    ]


def preference(winners: Sequence[Winner]) -> Preference | None:
    """How often the first model wins; None without a vote."""
    if not winners:
        return None
    return Preference(len(winners), mean_interval([_POINTS[winner] for winner in winners]))


def judge_pairs(pairs: Sequence[Pair], ask: Ask) -> Judged:
    """Let a judge compare the pairs, each in both orders (judges favour a place: Zheng et al. 2023, Judging
    LLM-as-a-judge). It wins only who wins in both."""
    winners: dict[str, Winner] = {}
    unusable = position_decided = 0
    for pair in pairs:
        both = [_ask(ask, pair, *order) for order in (("one", "other"), ("other", "one"))]
        if None in both:
            unusable += 1
            continue
        first, second = both
        position_decided += first != second and "tie" not in both
        winners[pair.question] = first if first == second and first is not None else "tie"
    return Judged(winners, unusable, position_decided)


def agreement_with_people(judged: Mapping[str, Winner], people: Mapping[str, Winner]) -> Interval | None:
    """Share of the questions that both decided on which both chose the same; None where there is none."""
    same = [judged[question] == winner for question, winner in people.items() if question in judged]
    return share_interval(same) if same else None


def _ask(ask: Ask, pair: Pair, first: Winner, second: Winner) -> Winner | None:
    answers = {"one": pair.one, "other": pair.other}
    prompt = _PROMPT.format(question=pair.question, first=answers[first], second=answers[second])
    choices = {choice.lower() for choice in _REPLY.findall(ask(prompt) or "")}
    if len(choices) != 1:
        return None
    return {"1": first, "2": second, "tie": "tie"}[choices.pop()]
