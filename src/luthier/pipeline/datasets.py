"""`luthier data`: look into a dataset."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from luthier.core.errors import DatasetError
from luthier.core.rows import Row, Split
from luthier.data import (
    DatasetDiff,
    LedgerEntry,
    diff_datasets,
    export,
    read_ledger,
    read_report,
    read_rows,
    reason_kind,
)
from luthier.pipeline.project import Project

STATS = (
    *("dataset", "read", "kept", "dropped", "splits", "kinds", "words", "tokens", "labels", "flags"),
    *("languages", "topics", "verdict"),
)
"""What `data stats` shows of a report."""


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


def dataset_stats(project: Project, dataset: str | None = None) -> dict[str, Any]:
    """The figures of a dataset's report: `STATS`."""
    report = read_report(dataset_folder(project, dataset))
    return {name: report[name] for name in STATS}


def dropped_records(
    project: Project, dataset: str | None = None, reason: str | None = None, record: str | None = None
) -> Iterator[LedgerEntry]:
    """Records that were dropped, with all their reasons; those that a filter leaves, in the order of the sources.

    `reason` is a kind of reason or the beginning of one ("near", "too short"). `record` is a row's id or `FILE:ROW`,
    and finds kept records too. Raises DatasetError for a reason or record that is not in the ledger.
    """
    folder = dataset_folder(project, dataset)
    entries = read_ledger(folder)
    if record is not None:
        return _one_record(entries, record, folder.name)
    dropped = (entry for entry in entries if not entry.kept)
    return dropped if reason is None else _with_reason(dropped, reason, folder)


def diff(project: Project, before: str, after: str) -> DatasetDiff:
    """What changed from one dataset to another, record by record."""
    return diff_datasets(dataset_folder(project, before), dataset_folder(project, after))


def _one_record(entries: Iterator[LedgerEntry], record: str, dataset: str) -> Iterator[LedgerEntry]:
    file, _, row = record.rpartition(":")
    found = next(
        (
            entry
            for entry in entries
            if record in entry.row_ids or (entry.origin.file == file and str(entry.origin.row) == row)
        ),
        None,
    )
    if found is None:
        raise DatasetError(f"no record {record}", where=dataset, allowed="a row's id, or FILE:ROW as `data why` shows")
    return iter([found])


def _with_reason(dropped: Iterator[LedgerEntry], reason: str, folder: Path) -> Iterator[LedgerEntry]:
    kinds = read_report(folder)["reasons"]
    assert isinstance(kinds, dict)
    if not any(kind.startswith(reason) for kind in kinds):
        there = ", ".join(kinds) or "none, nothing was dropped"
        raise DatasetError(f"no record was dropped because of {reason!r}", where=folder.name, allowed=f"there: {there}")
    return (entry for entry in dropped if any(reason_kind(each).startswith(reason) for each in entry.reasons))


def export_dataset(project: Project, dataset: str | None, target: str | Path) -> list[Path]:
    """Write train, validation, test and ledger as JSONL; the paths."""
    return export(dataset_folder(project, dataset), Path(target))
