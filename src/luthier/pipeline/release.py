"""`luthier release`: let the served name point to a run whose gate passed."""

import time
from dataclasses import dataclass

from luthier.core.artefacts import Artefact, Release
from luthier.core.errors import GateRefused
from luthier.core.identity import content_id
from luthier.pipeline.project import Project


@dataclass(frozen=True, slots=True)
class Promoted:
    release: str
    alias: str
    run: str
    evaluation: str
    forced: str | None

    def to_json(self) -> dict[str, object]:
        return {
            "release": self.release,
            "alias": self.alias,
            "run": self.run,
            "evaluation": self.evaluation,
            "forced": self.forced,
        }


def promote(project: Project, run: str | None = None, force: str | None = None) -> Promoted:
    """Point the recipe's name to a run (the latest one if none is named).

    Raises GateRefused (exit code 2) unless the run's latest evaluation beside what it replaces passed; `force`, the
    reason why it is released all the same, is recorded. A run without such an evaluation is refused either way.
    """
    force = (force or "").strip() or None
    with project.locked("release"):
        chosen = project.registry.get(run, "run") if run else project.registry.latest("run")
        replaced = replaced_by(project, chosen) or chosen.parents[1]
        evaluation = _latest_evaluation(project, chosen.id, replaced)
        if evaluation is None:
            raise GateRefused(
                f"{chosen.id} has no evaluation beside {replaced}", allowed=f"run: luthier evaluate {chosen.id}"
            )
        verdict = str(evaluation.summary["verdict"])
        if verdict != "pass" and not force:
            raise GateRefused(
                f"the verdict on {chosen.id} is {verdict}: {_reasons(evaluation)}",
                allowed="a better run, or --force with a reason, which is recorded",
            )
        alias = project.recipe.name
        summary = {"alias": alias, "verdict": verdict, "forced": force, "promoted_at": time.time()}
        release = Release(
            id=content_id("release", [chosen.id, evaluation.id, summary]),
            parents=(chosen.id, evaluation.id),
            summary=summary,
        )
        project.registry.add(release)
        project.registry.set_alias(alias, release.id, force or f"the gates of {evaluation.id} passed")
    return Promoted(release.id, alias, chosen.id, evaluation.id, force)


def replaced_by(project: Project, run: Artefact) -> str | None:
    """The run that this one would replace under the recipe's name, None where there is none but itself."""
    release = released(project)
    return release.parents[0] if release and release.parents[0] != run.id else None


def _latest_evaluation(project: Project, run: str, reference: str) -> Artefact | None:
    """The evaluation of this run beside this reference that was made last."""
    for entry in project.registry.list("evaluation"):
        if entry.artefact.parents == (run, reference):
            return entry.artefact
    return None


def released(project: Project) -> Artefact | None:
    """The release that the recipe's name points to now; its first parent is the run."""
    alias = project.registry.aliases().get(project.recipe.name)
    return project.registry.get(alias.target, "release") if alias else None


def _reasons(evaluation: Artefact) -> str:
    """The sentences of the gates that refuse; what is allowed follows the last one."""
    gates = evaluation.summary["gates"]
    assert isinstance(gates, list)
    return " ".join(gate["reason"] for gate in gates if gate["verdict"] != "pass").removesuffix(".")
