"""`luthier export`: a run as one model that needs neither Luthier nor PEFT."""

from dataclasses import dataclass, replace
from pathlib import Path

from luthier.core.artefacts import Release, Run
from luthier.core.errors import ModelError, WorkspaceError
from luthier.core.files import atomic_directory
from luthier.models.loading import DTYPES
from luthier.models.merging import merged, probe_logits
from luthier.pipeline.base import open_base
from luthier.pipeline.objectives import load_run
from luthier.pipeline.project import Project

LARGEST_DIFFERENCE = {"bfloat16": 3e-2, "float16": 5e-3, "float32": 1e-4}
"""Between the logits of the run and of what was written, relative to their norm."""


@dataclass(frozen=True, slots=True)
class Exported:
    """`difference` lies between the logits of the run and of the written model, relative to their norm."""

    run: str
    path: Path
    dtype: str
    difference: float

    def to_json(self) -> dict[str, object]:
        return {"run": self.run, "path": str(self.path), "dtype": self.dtype, "difference": self.difference}


def export(project: Project, folder: Path, run: str | None = None) -> Exported:
    """Write a run (the latest if none is named, or the one that an alias stands for) as a folder that transformers
    loads: weights with the adapter merged in, in `model.dtype`, with tokenizer and template.

    What was written is loaded again and compared. Raises WorkspaceError for a file, and for a folder that holds
    something, ModelError where run and model do not say the same.
    """
    if folder.exists() and not folder.is_dir():
        raise WorkspaceError("is no folder", where=str(folder), allowed="a new one")
    if folder.exists() and any(folder.iterdir()):
        raise WorkspaceError("the folder is not empty", where=str(folder), allowed="a new one")
    base = open_base(project)
    chosen = _run(project, run)
    project.reporter.say(f"merging {chosen.id}")
    model = load_run(project, replace(base, dtype="float32"), chosen)
    expected = probe_logits(model)
    with atomic_directory(folder) as partial:
        whole = merged(model).to(DTYPES[base.dtype])
        whole.save_pretrained(partial)
        base.tokenizer.save_pretrained(partial)
        found = probe_logits(type(whole).from_pretrained(partial, dtype=DTYPES[base.dtype], local_files_only=True))
        difference = float((found - expected).norm() / expected.norm())
        if not difference <= LARGEST_DIFFERENCE[base.dtype]:
            raise ModelError(
                f"the merged model's logits differ from the run's by {difference:.1e}",
                where=chosen.id,
                allowed=f"up to {LARGEST_DIFFERENCE[base.dtype]:.0e}; try model.dtype: float32",
            )
    return Exported(chosen.id, folder, base.dtype, difference)


def _run(project: Project, name: str | None) -> Run:
    found = project.registry.get(name) if name else project.registry.latest("run")
    if isinstance(found, Release):
        found = project.registry.get(found.parents[0], "run")
    if not isinstance(found, Run):
        raise ModelError(f"{found.id} is no run", allowed="a run or the released name, see: luthier registry list")
    return found
