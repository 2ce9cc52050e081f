"""`luthier evaluate --compare A B`: the answers of two models side by side, for blind votes and for a judge."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import get_args

from luthier.core.artefacts import BaseModel, Run
from luthier.core.errors import EvaluationError, RecipeError
from luthier.core.generation import GenerationRequest
from luthier.core.identity import content_id
from luthier.evaluation import (
    Ask,
    Judged,
    Pair,
    Winner,
    agreement_with_people,
    judge_pairs,
    pairs_of,
    preference,
    read_questions,
)
from luthier.pipeline.base import open_base
from luthier.pipeline.engine import RunsGenerator, conversation
from luthier.pipeline.judge import open_judge
from luthier.pipeline.kept_results import Recalling
from luthier.pipeline.measure import answer_all, results_of_base
from luthier.pipeline.project import Project


@dataclass(slots=True)
class Comparison:
    """Pairs of answers that differ, and the votes so far. Each vote is written down at once."""

    one: str
    other: str
    pairs: list[Pair] = field(repr=False)
    same: int
    path: Path
    votes: dict[str, Winner] = field(repr=False)
    judged: Judged | None = field(repr=False)

    def open_pairs(self) -> Iterator[Pair]:
        """Those without a vote."""
        return (pair for pair in self.pairs if pair.question not in self.votes)

    def vote(self, pair: Pair, winner: Winner) -> None:
        """Keep a person's vote on a pair."""
        self.votes[pair.question] = winner
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps({"question": pair.question, "winner": winner}, ensure_ascii=False) + "\n")

    def to_json(self) -> dict[str, object]:
        people, judge = preference(list(self.votes.values())), self.judged
        by_judge = preference(list(judge.winners.values())) if judge else None
        agreement = agreement_with_people(judge.winners, self.votes) if judge else None
        return {
            "one": self.one,
            "other": self.other,
            "pairs": len(self.pairs),
            "same": self.same,
            "left": sum(1 for _ in self.open_pairs()),
            "people": people.to_json() if people else None,
            "judge": {
                **(by_judge.to_json() if by_judge else {"votes": 0, "win_rate": None}),
                "unusable": judge.unusable,
                "position_decided": judge.position_decided,
                "agreement": agreement.to_json() if agreement else None,
            }
            if judge
            else None,
        }


def compare(project: Project, one: str, other: str, judge: Ask | None = None) -> Comparison:
    """Ask two models the golden questions and pair their answers; votes given earlier on the same answers are kept, and
    so is what the base model said to an evaluation.

    The recipe's judge compares them too, or the one given. Raises RecipeError without golden questions, EvaluationError
    for what is no model, for a line that is no vote, and for a judge that does not reply.
    """
    settings = project.recipe.evaluation
    if settings.questions is None:
        raise RecipeError("there are no questions to compare answers to", where="evaluation.questions")
    questions = [entry.question for entry in read_questions(project.workspace.root / settings.questions)]
    base = open_base(project)
    models = [_model(project, reference) for reference in (one, other)]
    requests = [
        GenerationRequest(
            model,
            conversation(project.recipe.data.system, {"role": "user", "content": question}),
            max_new_tokens=settings.max_new_tokens,
        )
        for model in models
        for question in questions
    ]
    generator = RunsGenerator(project, base)
    recalling = Recalling(generator, results_of_base(project, base, generator))
    texts = [
        completion.text for completion in answer_all(project, recalling, requests, f"asking {' and '.join(models)}")
    ]
    answers = [texts[: len(questions)], texts[len(questions) :]]
    pairs = pairs_of(questions, *answers)
    path = project.workspace.state / "votes" / f"{content_id('votes', [models, answers])}.jsonl"
    if judge is None and settings.judge is not None:
        judge = open_judge(settings.judge)
    judged = judge_pairs(pairs, _told(judge, project, 2 * len(pairs))) if judge else None
    return Comparison(models[0], models[1], pairs, len(questions) - len(pairs), path, _votes(path), judged)


def _told(judge: Ask, project: Project, prompts: int) -> Ask:
    """The judge, which tells how many of its prompts it has seen."""
    seen = count(1)

    def ask(prompt: str) -> str | None:
        reply = judge(prompt)
        project.reporter.progress("asking the judge", next(seen), prompts)
        return reply

    return ask


def _model(project: Project, reference: str) -> str:
    artefact = project.registry.get(reference)
    if artefact.kind == "release":
        artefact = project.registry.get(artefact.parents[0])
    if not isinstance(artefact, Run | BaseModel):
        raise EvaluationError(f"{artefact.id} is no model to compare", allowed="a run, a release or the base model")
    return artefact.id


def _votes(path: Path) -> dict[str, Winner]:
    if not path.is_file():
        return {}
    votes: dict[str, Winner] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            vote = json.loads(line)
            if vote["winner"] not in get_args(Winner):
                raise ValueError(f"{vote['winner']} is no winner")
            votes[vote["question"]] = vote["winner"]
        except (ValueError, LookupError, TypeError) as error:
            raise EvaluationError("no vote", where=f"{path}, line {number}", allowed="remove the line") from error
    return votes
