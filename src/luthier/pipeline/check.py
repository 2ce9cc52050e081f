"""`luthier check`: does the base model load, is its first loss sane, can it learn?"""

import time
from dataclasses import asdict, dataclass
from typing import Any

from luthier.core.artefacts import HealthReport
from luthier.core.identity import content_id
from luthier.models.adapter import trainable, without_adapter
from luthier.models.padded import position_limit
from luthier.models.template import ChatTemplate
from luthier.pipeline.base import Base, open_base
from luthier.pipeline.objectives import Lesson, open_trial, training_dataset
from luthier.pipeline.project import Project
from luthier.training import Finding, check_ends, check_flow, check_health, check_rows, check_weights, overall


@dataclass(frozen=True, slots=True)
class Checked:
    report: str
    verdict: str
    findings: tuple[Finding, ...]
    seconds: float

    def to_json(self) -> dict[str, object]:
        findings = [asdict(finding) for finding in self.findings]
        return {
            "health_report": self.report,
            "verdict": self.verdict,
            "findings": findings,
            "seconds": round(self.seconds, 2),
        }


def check(project: Project) -> Checked:
    """Measure the health of the recipe's base model on rows of its dataset."""
    begin = time.monotonic()
    with project.locked("check"):
        base = open_base(project)
        dataset = training_dataset(project, base)
        lesson = open_trial(project, base, dataset)
        findings = [*_rows_and_weights(project, base, lesson), *_learning(project, lesson)]
        verdict = overall(finding.verdict for finding in findings)
        content = {"verdict": verdict, "findings": [asdict(finding) for finding in findings]}
        report = content_id("health", [base.artefact.id, dataset.id, content])
        parents = (base.artefact.id, dataset.id)
        project.registry.add(HealthReport(id=report, parents=parents, summary=content))
    return Checked(report, verdict, tuple(findings), time.monotonic() - begin)


def _rows_and_weights(project: Project, base: Base, lesson: Lesson[Any]) -> list[Finding]:
    """What can be told before anything is computed."""
    core = without_adapter(lesson.model)
    vocabulary = core.get_input_embeddings().num_embeddings
    findings = check_rows(lesson.rows, vocabulary, position_limit(core), base.tokenizer.bos_token_id)
    if isinstance(base.reader, ChatTemplate):
        findings.append(check_ends(lesson.rows, base.reader.end_token_id))
    return findings + check_weights(lesson.model, trainable(lesson.model), project.recipe.training.learning_rate)


def _learning(project: Project, lesson: Lesson[Any]) -> list[Finding]:
    """What a forward and backward pass tells, and whether eight rows can be learnt by heart."""
    parameters = trainable(lesson.model)
    if not parameters:
        return []
    row = sorted(lesson.rows, key=len)[len(lesson.rows) // 2]
    flow = check_flow(lesson.model, parameters, lambda: lesson.objective.step([row])([row]))
    return flow + check_health(
        lesson.objective,
        parameters,
        lesson.rows,
        lesson.guess,
        lambda done, total: project.reporter.progress("learning eight rows by heart", done, total),
    )
