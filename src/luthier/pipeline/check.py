"""`luthier check`: does the base model load, is its first loss sane, can it learn?"""

import time
from dataclasses import asdict, dataclass

from luthier.core.artefacts import HealthReport
from luthier.core.identity import content_id
from luthier.models.adapter import trainable
from luthier.pipeline.base import open_base
from luthier.pipeline.objectives import open_trial, training_dataset
from luthier.pipeline.project import Project
from luthier.training import Finding, check_health, overall


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
        findings = check_health(
            lesson.objective,
            trainable(lesson.model),
            lesson.rows,
            lesson.guess,
            lambda done, total: project.reporter.progress("learning eight rows by heart", done, total),
        )
        verdict = overall(findings)
        content = {"verdict": verdict, "findings": [asdict(finding) for finding in findings]}
        report = content_id("health", [base.artefact.id, dataset.id, content])
        parents = (base.artefact.id, dataset.id)
        project.registry.add(HealthReport(id=report, parents=parents, summary=content))
    return Checked(report, verdict, tuple(findings), time.monotonic() - begin)
