"""`luthier prepare`: source files to a dataset."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from luthier.core.artefacts import Artefact, Dataset, Source
from luthier.core.errors import DatasetError
from luthier.core.identity import content_id, file_digest
from luthier.core.recipe import Task
from luthier.core.rows import Row, Split
from luthier.data import PAGE_NAME, Purpose, TokenCounter, needs_encoder, read_rows
from luthier.data import prepare as prepare_data
from luthier.pipeline.base import Base, open_base
from luthier.pipeline.encoder import open_embed, register_encoder
from luthier.pipeline.project import Project
from luthier.pipeline.source_files import files_at, with_files
from luthier.planning import DataNeed, forecast_data, forecast_labels, forecast_texts
from luthier.registry import capture


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
    def files(self) -> list[tuple[str, str, int, int, int]]:
        """Each file with the format of its records, and how many were read, kept and dropped."""
        formats = self.report["formats"]
        return [
            (file["path"], formats[file["path"]], file["read"], file["kept"], file["dropped"])
            for file in self.report["files"]
        ]

    @property
    def verdict(self) -> list[tuple[str, str, str]]:
        """Is it enough, clean, balanced: question, answer and why."""
        return [(finding["question"], finding["answer"], finding["why"]) for finding in self.report["verdict"]]

    @property
    def page(self) -> Path:
        """The report, to be opened in a browser."""
        return self.path / PAGE_NAME

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """How many records were dropped for each kind of reason; one may have several."""
        return list(self.report["reasons"].items())

    @property
    def flags(self) -> list[tuple[str, int]]:
        """How many rows that are kept have a remark of each kind."""
        return list(self.report["flags"].items())


def prepare(project: Project) -> Prepared:
    """Read, clean, format and split the recipe's sources into a dataset, with a ledger of every record.

    Raises SourceError for files that cannot be read, DatasetError when nothing is left to train on.
    """
    begin = time.monotonic()
    with project.locked("prepare"):
        base = open_base(project)
        settings = with_files(project.recipe.data, project.workspace, project.reporter.say)
        encoder = register_encoder(project) if needs_encoder(settings.clean) else None
        made = prepare_data(
            settings,
            project.workspace.root,
            lambda dataset: project.workspace.folder("dataset", dataset),
            _purpose(project, base),
            project.reporter.say,
            open_embed(project),
        )
        sources = [register_source(project, name, digest) for name, digest in made.sources]
        report = {name: value for name, value in made.report.items() if name not in ("path", "seconds")}
        summary = report | {
            "recipe": _recipe_digest(project, base),
            "sources": dict(made.sources),
            "held_out": dict(made.held_out),
        }
        if encoder is not None:
            summary["encoder"] = encoder.id
        parents = (*sources, encoder.id) if encoder else tuple(sources)
        path = project.workspace.relative(made.folder)
        dataset = Dataset(id=made.id, parents=parents, path=path, summary=summary)
        project.registry.add(dataset, capture(project.workspace.root))
    return Prepared(made.id, made.folder, made.report, time.monotonic() - begin)


def find_dataset(project: Project, base: Base) -> Dataset:
    """The dataset made by this recipe from the files as they are now, to train on.

    Raises DatasetError when there is none.
    """
    digest = _recipe_digest(project, base)
    for entry in project.registry.list("dataset"):
        if entry.artefact.summary.get("recipe") == digest:
            _refuse_changed_sources(project, entry.artefact)
            assert isinstance(entry.artefact, Dataset)
            return entry.artefact
    raise DatasetError("there is no dataset of this recipe yet", allowed="make it with: luthier prepare")


def data_need(task: Task, rows: int, target_tokens: int, epochs: int) -> DataNeed:
    """Whether so many training rows with so many target tokens, each read so often, suffice for the task."""
    if task == "classification":
        return forecast_labels(rows, epochs)
    if task in ("causal_lm", "masked_lm"):
        return forecast_texts(rows, target_tokens, epochs)
    return forecast_data(rows, target_tokens, epochs)


def dataset_rows(project: Project, dataset: Artefact, split: Split) -> list[Row]:
    """The rows of one split."""
    assert dataset.path is not None
    return read_rows(project.workspace.root / dataset.path, split)


def _refuse_changed_sources(project: Project, dataset: Artefact) -> None:
    """Files that are gone may have been put away; files that changed or came must not be left out unnoticed."""
    root = project.workspace.root
    sources, held_out = (dataset.summary[kind] for kind in ("sources", "held_out"))
    assert isinstance(sources, Mapping)
    assert isinstance(held_out, Mapping)
    for name, digest in [*sources.items(), *held_out.items()]:
        path = root / name
        if path.is_file() and file_digest([path]) != digest:
            raise DatasetError(f"{name} has changed since {dataset.id} was made", allowed="run: luthier prepare")
    paths = [(source.path, sources) for source in project.recipe.data.sources if source.path]
    paths += [(path, held_out) for path in project.recipe.data.held_out]
    for path, known in paths:
        new = [name for name in files_at(path, root) if name not in known]
        if new:
            raise DatasetError(f"{new[0]} was added since {dataset.id} was made", allowed="run: luthier prepare")


def _recipe_digest(project: Project, base: Base) -> str:
    """What the dataset depends on beside the files: task and data section, and the tokenizer that counts tokens."""
    section = project.recipe.data.model_dump(mode="json", exclude={"engine"})
    return content_id("recipe", [project.recipe.task, section, base.artefact.id])


def _purpose(project: Project, base: Base) -> Purpose:
    """What the recipe makes the dataset for; tokens are counted as they will be trained."""

    def measure(row: Row) -> tuple[int, int]:
        tokens = base.reader.encode(row)
        return len(tokens), tokens.target_tokens

    def enough(rows: int, target_tokens: int) -> tuple[bool, str]:
        need = data_need(project.recipe.task, rows, target_tokens, project.recipe.training.num_train_epochs)
        return need.enough, need.forecast

    counter = TokenCounter(base.artefact.id, base.reader.tokens_over, measure)
    return Purpose(project.recipe.task, counter, enough)


def register_source(project: Project, name: str, digest: str) -> str:
    """The id of a raw file, by the digest of its bytes."""
    source = Source(id=content_id("source", [name, digest]), path=Path(name), summary={"file": name, "sha256": digest})
    project.registry.add(source)
    return source.id
