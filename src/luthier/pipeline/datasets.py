"""`luthier data`: look into a dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from luthier.core.errors import DatasetError
from luthier.core.rows import SPLITS, Row, Split
from luthier.data import (
    DatasetDiff,
    LedgerEntry,
    diff_datasets,
    export,
    find_leaks,
    iterate_rows,
    read_ledger,
    read_report,
    read_rows,
    reason_kind,
    rows_of_file,
    spoken,
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


def show_rows(project: Project, dataset: str | None, split: Split, limit: int, flag: str | None = None) -> list[Row]:
    """The first rows of a split, all or those flagged as `flag`, a kind or the beginning of one.

    Raises DatasetError where no row of the dataset has such a flag.
    """
    folder = dataset_folder(project, dataset)
    rows = read_rows(folder, split)
    if flag is not None:
        there = read_report(folder)["flags"]
        assert isinstance(there, dict)
        if not any(kind.startswith(flag) for kind in there):
            allowed = f"there: {', '.join(there) or 'none'}"
            raise DatasetError(f"no row is flagged as {flag!r}", where=folder.name, allowed=allowed)
        rows = [row for row in rows if any(reason_kind(each).startswith(flag) for each in row.flags)]
    return rows[:limit]


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


@dataclass(frozen=True, slots=True)
class RowText:
    """Where a row comes from, and what it says without the system prompt."""

    file: str
    row: int
    text: str

    @classmethod
    def of(cls, row: Row) -> "RowText":
        return cls(row.origin.file, row.origin.row, spoken(row))


@dataclass(frozen=True, slots=True)
class LikeRows:
    """A row held out, a known row that it is like, and the Jaccard likeness of their words."""

    likeness: float
    held_out: RowText
    known: RowText


@dataclass(frozen=True, slots=True)
class Leakage:
    """How many rows were held out, and those that are like a known one, the most alike first.

    `complete` is false where there were too many alike ones to compare all.
    """

    rows: int
    complete: bool
    leaks: Sequence[LikeRows]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def leakage(project: Project, known: str, held_out: str) -> Leakage:
    """Which rows of `held_out` are like rows of `known`: their sets of words are 80 % alike or more (Jaccard).

    Each is a split of the latest dataset, the id of a dataset, or a file of any format that can be prepared, relative
    to the workspace. A row without an answer is also compared with each turn of a customer. Raises DatasetError,
    RegistryError or SourceError for what is none of these.
    """
    known_rows, held_out_rows = _rows_of(project, known), _rows_of(project, held_out)
    compared = find_leaks(enumerate(known_rows), held_out_rows)
    best = {leak.held_out: leak for leak in reversed(compared.leaks)}
    leaks = [
        LikeRows(round(leak.likeness, 4), RowText.of(held_out_rows[leak.held_out]), RowText.of(known_rows[leak.known]))
        for leak in sorted(best.values(), key=lambda leak: (-leak.likeness, leak.held_out))
    ]
    return Leakage(len(held_out_rows), compared.complete, leaks)


def _rows_of(project: Project, reference: str) -> list[Row]:
    if reference in SPLITS:
        return [row for row, split in iterate_rows(dataset_folder(project)) if split == reference]
    path = project.workspace.root / reference
    if path.is_file():
        return rows_of_file(path, reference, project.recipe.data, project.recipe.task)
    if not reference.startswith("dataset-"):
        splits = ", ".join(SPLITS)
        raise DatasetError(f"no file {reference}", allowed=f"a file, the id of a dataset, or one of {splits}")
    return [row for row, _ in iterate_rows(dataset_folder(project, reference))]


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
