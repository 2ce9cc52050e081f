"""`luthier compose`: the adapters of several runs as one."""

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from luthier.core.artefacts import Artefact, Run
from luthier.core.errors import ModelError
from luthier.core.files import atomic_directory
from luthier.core.identity import content_id, file_digest
from luthier.models.adapter import WEIGHTS_NAME
from luthier.models.merging import composed
from luthier.models.methods import ADAPTER, save_trained
from luthier.pipeline.base import TASKS_OF_PLAIN_TEXT, open_base
from luthier.pipeline.engine import run_folder, task_of
from luthier.pipeline.project import Project
from luthier.registry import capture


@dataclass(frozen=True, slots=True)
class Composed:
    run: str
    path: Path
    of: tuple[str, ...]
    weights: tuple[float, ...]
    density: float | None
    """Of TIES; None for a plain sum."""

    def to_json(self) -> dict[str, object]:
        return {
            "run": self.run,
            "path": str(self.path),
            "of": list(self.of),
            "weights": list(self.weights),
            "density": self.density,
        }


def compose(
    project: Project,
    runs: Sequence[str],
    weights: Sequence[float] = (),
    density: float | None = None,
) -> Composed:
    """A run whose adapter is made of those of several; see `luthier.models.merging.composed`.

    Without `weights` each counts by its equal share, and `density` is that of TIES. The new run stands on the dataset
    of the first one, which it is evaluated on. Raises ModelError for fewer than two runs, for runs of different base
    models, for runs of tasks that do not answer, and for adapters that cannot be composed.
    """
    with project.locked("compose"):
        parts = [project.registry.get(run, "run") for run in runs]
        shares = tuple(weights) or (1 / len(parts),) * len(parts)
        _refuse_strangers(parts, shares)
        if density is not None and not 0 < density < 1:
            raise ModelError(f"no density: {density}", allowed="above 0, below 1")
        base = open_base(project)
        if parts[0].parents[1] != base.artefact.id:
            raise ModelError(f"{parts[0].id} stands on another base model", where="model.base")
        folders = [run_folder(project, part.id) / ADAPTER for part in parts]
        model = composed(base.load(), folders, shares, density)
        made_of = {"of": [part.id for part in parts], "weights": list(shares), "density": density}
        with TemporaryDirectory(dir=project.workspace.state) as scratch:
            save_trained(model, Path(scratch), base.files.name, base.tokenizer)
            run = content_id("run", [made_of, file_digest([Path(scratch) / ADAPTER / WEIGHTS_NAME])])
            path = project.workspace.folder("run", run)
            with atomic_directory(path) as partial:
                shutil.copytree(scratch, partial, dirs_exist_ok=True)
                (partial / "run.json").write_text(json.dumps({"run": run, **made_of}, indent=1), encoding="utf-8")
        summary = {**made_of, "task": task_of(parts[0]), "base": base.artefact.id}
        parents = (*parts[0].parents[:2], *(part.id for part in parts))
        artefact = Run(id=run, parents=parents, path=project.workspace.relative(path), summary=summary)
        project.registry.add(artefact, capture(project.workspace.root))
    return Composed(run, path, tuple(part.id for part in parts), shares, density)


def _refuse_strangers(parts: Sequence[Artefact], weights: Sequence[float]) -> None:
    if len({part.id for part in parts}) < 2:
        raise ModelError("there is nothing to compose", allowed="two runs or more")
    if len(weights) != len(parts):
        raise ModelError(f"{len(weights)} weights for {len(parts)} runs", allowed="one weight for each run")
    for weight in weights:
        if not math.isfinite(weight):
            raise ModelError(f"no weight: {weight}", allowed="a finite number for each run")
    for part in parts[1:]:
        if part.parents[1] != parts[0].parents[1]:
            raise ModelError(f"{part.id} and {parts[0].id} stand on different base models")
    for part in parts:
        if task_of(part) in TASKS_OF_PLAIN_TEXT:
            raise ModelError(f"{part.id} is of task {task_of(part)}", allowed="runs that answer")
