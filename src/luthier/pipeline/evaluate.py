"""`luthier evaluate`: a run measured beside what it would replace, and the verdict of the gates."""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from luthier.core.artefacts import Artefact, BaseModel, Evaluation, Run
from luthier.core.errors import EvaluationError
from luthier.core.files import atomic_directory
from luthier.core.rows import Row
from luthier.evaluation import (
    Assessment,
    Context,
    Curve,
    Diagnosis,
    assess,
    diagnose,
    read_questions,
    render_page,
    render_report,
)
from luthier.pipeline.base import TASKS_OF_PLAIN_TEXT, Base, open_base
from luthier.pipeline.card import model_card
from luthier.pipeline.engine import task_of
from luthier.pipeline.labels import measure_labels
from luthier.pipeline.measure import find_tested_leaks, measure_base, measure_models, set_exam
from luthier.pipeline.prepare import dataset_rows
from luthier.pipeline.project import Project
from luthier.pipeline.release import replaced_by
from luthier.pipeline.texts import measure_texts
from luthier.pipeline.train import CURVES

PAGE = "report.html"
CARD = "model-card.md"


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An assessment of `run`, and where its report and answers lie."""

    run: str
    path: Path
    assessment: Assessment = field(repr=False)
    seconds: float

    @property
    def verdict(self) -> str:
        return self.assessment.verdict

    @property
    def page(self) -> Path:
        """The report as one HTML page."""
        return self.path / PAGE

    def to_json(self) -> dict[str, object]:
        return {
            **self.assessment.to_json(),
            "run": self.run,
            "path": str(self.path),
            "page": str(self.page),
            "seconds": round(self.seconds, 2),
        }

    def report(self) -> str:
        """The assessment for people, as Markdown."""
        return render_report(self.assessment)


def evaluate(project: Project, run: str | None = None, against: str | None = None) -> Evaluated:
    """Measure a run (the latest if none is named) beside another or the base model, by default beside what it would
    replace: the released run, or the base model before any release.

    Losses and labels come from the run's own dataset, answers from the recipe's golden questions. Raises
    EvaluationError for questions that cannot be read, and for runs of different base models or another task.
    """
    begin = time.monotonic()
    settings = project.recipe.evaluation
    with project.locked("evaluate"):
        questions = read_questions(project.workspace.root / settings.questions) if settings.questions else []
        candidate = project.registry.get(run, "run") if run else project.registry.latest("run")
        base = open_base(project)
        reference = _reference(project, base, candidate, against)
        held_out = _held_out(project, candidate, reference)
        dataset = project.registry.get(candidate.parents[0], "dataset")
        trained = dataset_rows(project, dataset, "train")
        curves = _curves(project, candidate)
        leaks = find_tested_leaks(trained, held_out["test"], questions)
        context = Context(leaks=leaks, diagnosis=_diagnosis(candidate, curves))
        if project.recipe.task == "classification":
            measured = measure_labels(project, base, dataset, held_out, [reference.id, candidate.id])
        elif project.recipe.task in TASKS_OF_PLAIN_TEXT:
            models = dict.fromkeys([reference.id, candidate.id, base.artefact.id])
            measured, known = measure_texts(project, base, held_out, list(models))
            context = replace(context, held_out=known, base=measured[base.artefact.id])
        else:
            longest = project.recipe.data.max_length - settings.max_new_tokens
            exam = set_exam(base, trained, held_out["validation"], held_out["test"], questions, longest)
            measured = measure_models(project, base, exam, [reference.id, candidate.id], closely=candidate.id)
            untrained = measured.get(base.artefact.id) or measure_base(project, base, exam)
            context = replace(context, held_out=exam.held_out, base=untrained)
        assessment = assess(settings.gates, measured[candidate.id], measured[reference.id], context)
        path = _record(project, candidate, assessment, curves)
    return Evaluated(candidate.id, path, assessment, time.monotonic() - begin)


def _reference(project: Project, base: Base, candidate: Artefact, against: str | None) -> Artefact:
    """What the candidate is compared with. Raises EvaluationError for what is no model or of another base model."""
    reference = project.registry.get(against or replaced_by(project, candidate) or base.artefact.id)
    if not isinstance(reference, Run | BaseModel):
        raise EvaluationError(f"{reference.id} is no model to compare with", allowed="a run or the base model")
    for model in (candidate, reference):
        origin = model.parents[1] if isinstance(model, Run) else model.id
        if origin != base.artefact.id:
            raise EvaluationError(
                f"{model.id} stands on {origin}, and the recipe's base model is {base.artefact.id}",
                where="model.base",
                allowed="the base model that both were made from",
            )
        task, trained = project.recipe.task, task_of(model)
        if isinstance(model, Run) and task != trained and {task, trained} & TASKS_OF_PLAIN_TEXT.keys():
            raise EvaluationError(
                f"{model.id} was trained for task {trained}, and the recipe is for {task}", where="task"
            )
    return reference


def _held_out(project: Project, candidate: Artefact, reference: Artefact) -> dict[str, list[Row]]:
    """Validation and test rows of the candidate's dataset, less those that the reference was trained on."""
    dataset = project.registry.get(candidate.parents[0], "dataset")
    seen: set[str] = set()
    if isinstance(reference, Run) and reference.parents[0] != dataset.id:
        earlier = project.registry.get(reference.parents[0], "dataset")
        seen = {row.id for row in dataset_rows(project, earlier, "train")}
    return {
        split: [row for row in dataset_rows(project, dataset, split) if row.id not in seen]
        for split in ("validation", "test")
    }


def _curves(project: Project, run: Artefact) -> dict[str, Curve]:
    """The run's curves, empty where their file is gone. Raises EvaluationError where it is damaged."""
    assert run.path is not None
    path = project.workspace.root / run.path / CURVES
    if not path.is_file():
        return {}
    try:
        curves = json.loads(path.read_text(encoding="utf-8"))
        return {name: [_point(point) for point in curves[name]] for name in ("train", "validation")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            "the curves of the training are damaged", where=str(path), allowed="delete the file to evaluate without"
        ) from error


def _point(written: Mapping[str, Any]) -> dict[str, float]:
    """A point of a curve as it was before it was written; raises what a lack of its step or loss raises."""
    point = {key: math.nan if value is None else float(value) for key, value in written.items()}
    return point | {"step": int(point["step"]), "loss": point["loss"]}


def _diagnosis(run: Artefact, curves: Mapping[str, Curve]) -> Diagnosis | None:
    """What the run's curves say, None without any."""
    if not curves:
        return None
    upsets = sum(int(str(run.summary.get(name, 0))) for name in ("skipped_steps", "spiked_steps"))
    kept, epochs = (
        value if isinstance(value, int) else None for value in map(run.summary.get, ("kept_step", "epochs"))
    )
    return diagnose(curves["train"], curves["validation"], upsets, kept, epochs)


def _record(project: Project, candidate: Artefact, assessment: Assessment, curves: Mapping[str, Curve]) -> Path:
    """Write the reports, the model card and all answers, and register the evaluation. Its first parent is the run that
    it judges."""
    folder = project.workspace.folder("evaluation", assessment.id)
    with atomic_directory(folder) as partial:
        (partial / "report.md").write_text(render_report(assessment), encoding="utf-8")
        (partial / CARD).write_text(model_card(project, candidate, assessment), encoding="utf-8")
        (partial / PAGE).write_text(render_page(assessment, curves), encoding="utf-8")
        (partial / "evaluation.json").write_text(json.dumps(assessment.to_json(), indent=1), encoding="utf-8")
        with (partial / "answers.jsonl").open("w", encoding="utf-8") as lines:
            for answer in assessment.answers_json():
                lines.write(json.dumps(answer, ensure_ascii=False) + "\n")
    summary = assessment.to_json()
    project.registry.add(
        Evaluation(
            id=assessment.id,
            parents=(candidate.id, assessment.reference),
            path=project.workspace.relative(folder),
            summary=summary,
        )
    )
    return folder
