"""`luthier demo`: the whole cycle on the bundled sample data."""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

import httpx

from luthier.core.errors import LuthierError, RecipeError
from luthier.core.progress import Reporter
from luthier.core.sizes import gigabytes
from luthier.core.workspace import RECIPE_NAME
from luthier.evaluation import AnswerScore, Assessment
from luthier.pipeline.check import check
from luthier.pipeline.evaluate import Evaluated, evaluate
from luthier.pipeline.init import lay_out
from luthier.pipeline.plan import plan, write_proposals
from luthier.pipeline.prepare import data_need, prepare
from luthier.pipeline.project import Project, open_project
from luthier.pipeline.release import Promoted, promote
from luthier.pipeline.serve import background_server
from luthier.pipeline.train import Trained, train
from luthier.planning import Proposal
from luthier.registry import render_lineage

SAMPLE = ("samples", "alder_finch")
QUESTIONS = 3
ANSWER_SECONDS = 120.0
LONGEST_TRAINING = 480.0
"""Seconds. Where the plan expects more of this machine, the demo trains fewer epochs: it shows the way, and should end
before whoever tries it has left."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question over HTTP, and what base and tuned model answered."""

    question: str
    expected: str
    base: str
    tuned: str


@dataclass(frozen=True, slots=True)
class Demo:
    """All that the demo made and found."""

    workspace: Path
    base: Mapping[str, object]
    tuned: Mapping[str, object]
    verdict: str
    train: Mapping[str, object] = field(repr=False)
    asked: tuple[Asked, ...] = field(repr=False)
    lineage: str = field(repr=False)
    release: str | None
    seconds: float

    def to_json(self) -> dict[str, object]:
        return {
            "workspace": str(self.workspace),
            "base": dict(self.base),
            "tuned": dict(self.tuned),
            "verdict": self.verdict,
            "train": dict(self.train),
            "release": self.release,
            "asked": [
                {"question": one.question, "expected": one.expected, "base": one.base, "tuned": one.tuned}
                for one in self.asked
            ],
            "lineage": self.lineage.splitlines(),
            "seconds": round(self.seconds, 2),
        }


def demo(folder: str | Path, reporter: Reporter) -> Demo:
    """Prepare, check, plan, train, evaluate, release, serve, ask, correct; in a new or existing workspace `folder`.

    What stands in the folder from an earlier demo is used again; the sample's own files are never overwritten.
    """
    begin = time.monotonic()
    copy_sample(Path(folder))
    with open_project(folder, reporter=reporter) as project:
        if project.recipe.evaluation.questions is None:
            raise RecipeError("the demo asks evaluation.questions, which this recipe lacks", where=str(folder))
        _make_ready(project)
    with open_project(folder, reporter=reporter) as project:  # the recipe may have changed
        trained = _learn(project)
        evaluated = evaluate(project, trained.run)
        reporter.say(evaluated.report())
        promoted = promote(project, trained.run) if evaluated.verdict == "pass" else None
        reporter.say(_release_line(promoted, evaluated.verdict))
        assessment = _beside_base(project, trained, evaluated)
        asked, lineage = _serve_and_ask(project, trained, promoted, assessment)
    return Demo(
        workspace=Path(folder),
        base={"facts": assessment.reference_metrics["facts_recalled"].value},
        tuned={"facts": assessment.metrics["facts_recalled"].value},
        verdict=evaluated.verdict,
        train=trained.to_json(),
        asked=asked,
        lineage=lineage,
        release=promoted.release if promoted else None,
        seconds=time.monotonic() - begin,
    )


def _beside_base(project: Project, trained: Trained, evaluated: Evaluated) -> Assessment:
    """The run beside its base model; that is what was evaluated, unless an earlier demo had released another run."""
    base = project.registry.get(trained.run).parents[1]
    if evaluated.assessment.reference == base:
        return evaluated.assessment
    return evaluate(project, trained.run, against=base).assessment


def copy_sample(folder: Path) -> None:
    """Put the sample's recipe, raw files and questions into a workspace; files that are there stay as they are."""
    with as_file(files("luthier").joinpath(*SAMPLE)) as sample:
        if not (folder / RECIPE_NAME).exists():
            lay_out(folder, (sample / RECIPE_NAME).read_text(encoding="utf-8"))
        for path in (*sorted((sample / "raw").iterdir()), sample / "golden.jsonl"):
            target = folder / path.relative_to(sample)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def _make_ready(project: Project) -> None:
    """From raw files to a plan that this machine can follow, telling what each stage found."""
    say = project.reporter.say
    say("1 of 6: preparing the data")
    prepared = prepare(project)
    say(f"  {prepared.report['read']} records read, {prepared.report['kept']} kept; dropped:")
    for reason, count in prepared.reasons:
        say(f"    {count} {reason}")
    say("2 of 6: checking that the model is sound and can learn")
    checked = check(project)
    for finding in checked.findings:
        say(f"  {finding.check}: {finding.verdict} ({finding.value:.3g}, limit {finding.limit:.3g}) {finding.advice}")
    say("3 of 6: planning")
    planned = plan(project)
    epochs = shorten(project, lambda epochs: planned.seconds_with(epochs).expected)
    workload, seconds = planned.workload, planned.seconds_with(epochs)
    need = data_need(project.recipe.task, workload.rows, workload.target_tokens, epochs)
    say(
        f"  about {seconds.expected / 60:.1f} minutes ({seconds.low / 60:.1f} to {seconds.high / 60:.1f}), "
        f"{gigabytes(planned.figures.memory.total)} of memory. {need.forecast}"
    )


def shorten(project: Project, seconds: Callable[[int], float]) -> int:
    """Write fewer epochs into the recipe where training is expected to take longer than LONGEST_TRAINING; how many it
    has then. `seconds` tells what so many epochs are expected to take."""
    planned = project.recipe.training.num_train_epochs
    short = (epochs for epochs in range(planned, 1, -1) if seconds(epochs) <= LONGEST_TRAINING)
    epochs = next(short, 1)
    if epochs == planned:
        return planned
    field, path = "training.num_train_epochs", project.workspace.recipe
    write_proposals(path, [Proposal(field, epochs, planned, "ends soon on this machine")])
    project.reporter.say(
        f"  {planned} epochs would take about {seconds(planned) / 60:.1f} minutes, too long for a demo: it trains "
        f"{epochs} here, and will recall fewer facts.\n"
        f"  For all of it, set {field} to {planned} in {path} and run luthier train"
    )
    return epochs


def _learn(project: Project) -> Trained:
    """Train the run, telling what came of it."""
    say = project.reporter.say
    say("4 of 6: training")
    trained = train(project)
    say(
        f"  {trained.figures['tokens']} tokens at {trained.figures['tokens_per_second']} tokens/s, "
        f"loss {trained.figures['train_loss']:.3f}"
    )
    say("5 of 6: evaluating, the base model beside the tuned one")
    return trained


def _release_line(promoted: Promoted | None, verdict: str) -> str:
    if promoted is None:
        return f"6 of 6: the verdict is {verdict}, so nothing is released; serving the run by its id"
    return f"6 of 6: released as {promoted.alias}; serving"


def _serve_and_ask(
    project: Project, trained: Trained, promoted: Promoted | None, assessment: Assessment
) -> tuple[tuple[Asked, ...], str]:
    """Start the API, ask base and tuned model over HTTP, file a correction; the answers and the lineage."""
    name = promoted.alias if promoted else trained.run
    chosen = _questions([candidate for candidate, _ in assessment.answers])
    asked, last = [], ""
    with background_server(project) as url, httpx.Client(base_url=url, timeout=ANSWER_SECONDS) as client:
        for score in chosen:
            _, base = _ask(client, assessment.reference, score.question)
            last, tuned = _ask(client, name, score.question)
            asked.append(Asked(score.question, ", ".join(score.expected), base, tuned))
        client.post("/v1/feedback", json={"id": last, **_judgement(chosen[-1])}).raise_for_status()
    return tuple(asked), render_lineage(project.registry.lineage(last))


def _questions(scores: Sequence[AnswerScore]) -> list[AnswerScore]:
    """Questions from all over the file; the last is one that was answered wrongly, if there is any, to be corrected."""
    wrong = [score for score in scores if not score.recalled]
    right = _spread([score for score in scores if score.recalled], QUESTIONS - min(1, len(wrong)))
    return [*right, *_spread(wrong, QUESTIONS - len(right))]


def _spread(scores: Sequence[AnswerScore], count: int) -> Sequence[AnswerScore]:
    """At most `count` of them, evenly apart."""
    return scores[:: max(1, len(scores) // max(1, count))][:count]


def _judgement(score: AnswerScore) -> dict[str, str]:
    """What a person who knows the facts would say of an answer."""
    if score.recalled:
        return {"rating": "up"}
    correction = f"The answer is {' and '.join(score.expected)}. Is there anything else that I can do for you?"
    return {"rating": "down", "correction": correction}


def _ask(client: httpx.Client, model: str, question: str) -> tuple[str, str]:
    """The response's id and the answer."""
    body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": 96}
    response = client.post("/v1/chat/completions", json=body)
    if response.is_error:
        raise LuthierError(f"the API answered {response.status_code}: {response.text}")
    answer = json.loads(response.text)
    return answer["id"], answer["choices"][0]["message"]["content"]
