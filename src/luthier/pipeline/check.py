"""`luthier check`: are model, rows and settings sound, and can the model learn?"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.artefacts import Dataset, HealthReport
from luthier.core.errors import ModelError, WeightsError
from luthier.core.identity import content_id
from luthier.core.plain_json import finite
from luthier.models.adapter import trainable
from luthier.models.adapter_stack import AdapterFiles
from luthier.models.methods import ADAPTER, save_trained, shares_base
from luthier.pipeline.base import TASKS_OF_PLAIN_TEXT, Base, open_base
from luthier.pipeline.objectives import Lesson, load_saved, open_trial, training_dataset
from luthier.pipeline.project import Project
from luthier.pipeline.quick_checks import Clock, quick_findings
from luthier.training import Finding, RangeTest, check_learns, few_rows, overall, plain_logits, range_test
from luthier.training.finding import judged

RANGE_TOKENS = 256
"""Of the rows that learning rates are tried on."""
RANGE_SECONDS = 20
"""That trying them may take where the recipe does not ask for it."""
LARGEST_SAVED = 2 * 10**9
"""Bytes of trained weights up to which saving them and reading them again is tried."""
MOST_CHANGED = {"bfloat16": 0.1, "float16": 0.03}
MOST_CHANGED_ELSE = 0.01
"""Mean change of a logit by saving and loading, as a share of the logits' spread, by the type of the weights: the saved
model takes the plain path, which rounds otherwise, in bfloat16 by 0.017 for SmolLM2-135M. Without the
adapter that has learnt rows by heart it is 0.88."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found. `parts` are the seconds of each part of the check, `suggested_learning_rate` None where none was
    looked for or found."""

    report: str
    verdict: str
    findings: tuple[Finding, ...]
    seconds: float
    suggested_learning_rate: float | None = None
    parts: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        return {
            "health_report": self.report,
            "verdict": self.verdict,
            "findings": [finite(asdict(finding)) for finding in self.findings],
            "suggested_learning_rate": self.suggested_learning_rate,
            "parts": {part: round(seconds, 2) for part, seconds in self.parts.items()},
            "seconds": round(self.seconds, 2),
        }


def check(project: Project) -> Checked:
    """Measure the health of the recipe's base model on rows of its dataset."""
    begin, clock = time.monotonic(), Clock()
    with project.locked("check"):
        base = open_base(project)
        dataset = training_dataset(project, base)
        findings, tried = _findings(project, base, dataset, clock)
        verdict = overall(finding.verdict for finding in findings)
        content = {"verdict": verdict, "findings": [finite(asdict(finding)) for finding in findings]}
        report = content_id("health", [base.artefact.id, dataset.id, content])
        parents = (base.artefact.id, dataset.id)
        project.registry.add(HealthReport(id=report, parents=parents, summary=content))
    suggested = tried.suggested if tried else None
    return Checked(report, verdict, tuple(findings), time.monotonic() - begin, suggested, clock.seconds)


def _findings(project: Project, base: Base, dataset: Dataset, clock: Clock) -> tuple[list[Finding], RangeTest | None]:
    """All findings, quick ones first; what needs a model that works is left out where they say that it does not."""
    try:
        with clock.of("loading"):
            lesson = open_trial(project, base, dataset)
    except WeightsError as error:
        return [Finding("weights_readable", "fail", 0, 1, str(error))], None
    findings = [Finding("weights_readable", "pass", 1, 1, "")]
    findings += quick_findings(project, base, dataset, lesson, clock)
    verdicts = {finding.check: finding.verdict for finding in findings}
    parameters = trainable(lesson.model)
    if not parameters or (verdicts.get("first_loss") != "pass" and verdicts.get("gradient", "fail") == "fail"):
        return findings, None
    with clock.of("learning rates"):
        tried = _try_rates(project, lesson)
    findings += [tried.finding(project.recipe.training.learning_rate)] if tried else []
    with clock.of("learning by heart"):
        few = few_rows(lesson.rows)
        findings.append(
            check_learns(
                parameters,
                lambda: lesson.objective.step(few)(few),
                lambda done, total: project.reporter.progress("learning a few rows by heart", done, total),
            )
        )
    with clock.of("saving"):
        findings += _saved(project, base, lesson)
    return findings, tried


def _try_rates(project: Project, lesson: Lesson[Any]) -> RangeTest | None:
    """The range test, where the recipe asks for it or it takes little time."""
    asked = project.recipe.training.find_learning_rate
    if asked is False:
        return None
    few, reporter = few_rows(lesson.rows, RANGE_TOKENS), project.reporter
    limit = RANGE_SECONDS if asked == "auto" else None

    def tell(seconds: float) -> None:
        skipped = limit is not None and seconds > limit
        hint = "; left out, training.find_learning_rate: true asks for it" if skipped else ""
        reporter.say(f"trying learning rates takes up to {seconds:.0f} s{hint}")

    return range_test(
        trainable(lesson.model),
        lambda: lesson.objective.step(few)(few),
        limit,
        tell,
        lambda done, total: reporter.progress("trying learning rates", done, total),
    )


def _saved(project: Project, base: Base, lesson: Lesson[Any]) -> list[Finding]:
    """Whether what has just learnt a little says the same when it was saved and loaded, and can be served."""
    weights = sum(parameter.nbytes for parameter in trainable(lesson.model).values())
    row = min(lesson.rows, key=len)
    prediction = lesson.objective.prediction(row)
    if weights > LARGEST_SAVED or prediction is None or project.recipe.model.quantization:
        return []
    task = project.recipe.task
    before = plain_logits(lesson.model, prediction.input_ids)
    with tempfile.TemporaryDirectory(dir=project.workspace.state, prefix="check-") as temporary:
        folder = Path(temporary)
        save_trained(lesson.model, folder, base.files.name, base.tokenizer)
        after = plain_logits(load_saved(project, base, task, folder), prediction.input_ids)
        change = float((after - before).abs().mean() / before.std())
        advice = "what was saved says something else than what was trained: please report it"
        most = MOST_CHANGED.get(base.dtype, MOST_CHANGED_ELSE)
        findings = [judged("reload", "pass" if change <= most else "fail", change, most, advice)]
        if task not in TASKS_OF_PLAIN_TEXT and shares_base(folder):
            findings.append(_served(base, folder / ADAPTER))
    return findings


def _served(base: Base, adapter: Path) -> Finding:
    """Whether the engine takes this adapter beside others."""
    try:
        AdapterFiles(base.load(), adapter).read()
    except ModelError as error:
        return Finding("servable", "fail", 0, 1, f"{error.what}: {error.allowed or 'take another adapter'}")
    return Finding("servable", "pass", 1, 1, "")
