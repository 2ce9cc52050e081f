"""`luthier data`: look into a dataset."""

from collections.abc import Iterator
from pathlib import Path

from luthier.core.errors import DatasetError
from luthier.core.rows import Row, Split
from luthier.data import LedgerEntry, export, read_ledger, read_rows
from luthier.pipeline.project import Project


def dataset_folder(project: Project, dataset: str | None = None) -> Path:
    """Where a dataset's files lie: the named one, or the latest. Raises DatasetError when they are gone."""
    artefact = project.registry.get(dataset, "dataset") if dataset else project.registry.latest("dataset")
    assert artefact.path is not None
    folder = project.workspace.root / artefact.path
    if not folder.is_dir():
        raise DatasetError("the dataset's files are gone", where=str(folder), allowed="make it with: luthier prepare")
    return folder


def show_rows(project: Project, dataset: str | None, split: Split, limit: int) -> list[Row]:
    """The first rows of a split."""
    return read_rows(dataset_folder(project, dataset), split)[:limit]


def dropped_records(project: Project, dataset: str | None = None) -> Iterator[LedgerEntry]:
    """Every record that was dropped, with all its reasons."""
    return (entry for entry in read_ledger(dataset_folder(project, dataset)) if not entry.kept)


def export_dataset(project: Project, dataset: str | None, target: str | Path) -> list[Path]:
    """Write train, validation, test and ledger as JSONL; the paths."""
    return export(dataset_folder(project, dataset), Path(target))
