"""`luthier prepare`: source files to a dataset."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.artefacts import Artefact, Dataset, Source
from luthier.core.errors import DatasetError, SourceError
from luthier.core.identity import content_id, file_digest
from luthier.core.recipe import DataSection, SourceSection
from luthier.core.rows import Row, Split, TokenRow
from luthier.data import prepare as prepare_data
from luthier.data import read_rows
from luthier.pipeline.base import Base, open_base
from luthier.pipeline.project import Project
from luthier.registry import capture
from luthier.sources import SUFFIXES


@dataclass(frozen=True, slots=True)
class Prepared:
    """A dataset, and what became of the records that went in."""

    dataset: str
    path: Path
    report: Mapping[str, Any] = field(repr=False)
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {**self.report, "dataset": self.dataset, "path": str(self.path), "seconds": round(self.seconds, 2)}

    @property
    def splits(self) -> Mapping[str, int]:
        """Rows in each split."""
        splits: Mapping[str, int] = self.report["splits"]
        return splits

    @property
    def files(self) -> list[tuple[str, int, int, int]]:
        """Records read, kept and dropped of each file."""
        return [(file["path"], file["read"], file["kept"], file["dropped"]) for file in self.report["files"]]

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """How many records were dropped for each kind of reason; one may have several."""
        return list(self.report["reasons"].items())


def prepare(project: Project) -> Prepared:
    """Read, clean, format and split the recipe's sources into a dataset, with a ledger of every record.

    Raises SourceError for files that cannot be read, DatasetError when nothing is left to train on.
    """
    begin = time.monotonic()
    with project.locked("prepare"):
        base = open_base(project)
        settings = with_files(project.recipe.data, project.workspace.root)
        made = prepare_data(
            settings,
            project.workspace.root,
            lambda dataset: project.workspace.folder("dataset", dataset),
            lambda row: len(base.template.encode(row)),
            project.reporter.say,
        )
        sources = [_register_source(project, name, digest) for name, digest in made.sources]
        report = {name: value for name, value in made.report.items() if name not in ("path", "seconds")}
        summary = report | {"recipe": _recipe_digest(project, base), "sources": dict(made.sources)}
        path = project.workspace.relative(made.folder)
        dataset = Dataset(id=made.id, parents=tuple(sources), path=path, summary=summary)
        project.registry.add(dataset, capture(project.workspace.root))
    return Prepared(made.id, made.folder, made.report, time.monotonic() - begin)


def with_files(data: DataSection, root: Path) -> DataSection:
    """The section with each folder among its sources replaced by the files in it that can be read, by name."""
    sources: list[SourceSection] = []
    for source in data.sources:
        folder = root / source.path
        if not folder.is_dir():
            sources.append(source)
            continue
        names = _files_in(folder, source.path)
        if not names:
            endings = ", ".join(SUFFIXES)
            raise SourceError("no file to read in this folder", where=source.path, allowed=f"files ending in {endings}")
        sources += [source.model_copy(update={"path": name}) for name in names]
    return data.model_copy(update={"sources": tuple(sources)})


def _files_in(folder: Path, name: str) -> list[str]:
    """The files of a source folder that can be read, as a recipe that lists them one by one would name them."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in SUFFIXES)
    return [str(Path(name) / path.relative_to(folder)) for path in files]


def find_dataset(project: Project, base: Base) -> Dataset:
    """The dataset made by this recipe from the files as they are now. Raises DatasetError when there is none."""
    digest = _recipe_digest(project, base)
    for entry in project.registry.list("dataset"):
        if entry.artefact.summary.get("recipe") == digest:
            _refuse_changed_sources(project, entry.artefact)
            assert isinstance(entry.artefact, Dataset)
            return entry.artefact
    raise DatasetError("there is no dataset of this recipe yet", allowed="make it with: luthier prepare")


def training_rows(project: Project, base: Base, dataset: Artefact) -> list[TokenRow]:
    """The training split as tokens. Raises DatasetError when there is nothing to learn in it."""
    rows = base.tokens(dataset_rows(project, dataset, "train"))
    if not sum(row.target_tokens for row in rows):
        raise DatasetError("no training row has a token to learn", where=dataset.id)
    return rows


def dataset_rows(project: Project, dataset: Artefact, split: Split) -> list[Row]:
    """The rows of one split."""
    assert dataset.path is not None
    return read_rows(project.workspace.root / dataset.path, split)


def _refuse_changed_sources(project: Project, dataset: Artefact) -> None:
    """Files that are gone may have been put away; files that changed or came must not be left out unnoticed."""
    root = project.workspace.root
    sources = dataset.summary["sources"]
    assert isinstance(sources, Mapping)
    for name, digest in sources.items():
        path = root / name
        if path.is_file() and file_digest([path]) != digest:
            raise DatasetError(f"{name} has changed since {dataset.id} was made", allowed="run: luthier prepare")
    for source in project.recipe.data.sources:
        new = [name for name in _files_in(root / source.path, source.path) if name not in sources]
        if new:
            raise DatasetError(f"{new[0]} was added since {dataset.id} was made", allowed="run: luthier prepare")


def _recipe_digest(project: Project, base: Base) -> str:
    """What the dataset depends on beside the files: the data section, and the tokenizer that counts tokens."""
    return content_id("recipe", [project.recipe.data.model_dump(mode="json"), base.artefact.id])


def _register_source(project: Project, name: str, digest: str) -> str:
    source = Source(id=content_id("source", [name, digest]), path=Path(name), summary={"file": name, "sha256": digest})
    project.registry.add(source)
    return source.id
