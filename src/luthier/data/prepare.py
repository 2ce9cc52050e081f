"""Prepare a dataset: read, clean, drop duplicates, split, write; every record accounted for."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from luthier.core.errors import DatasetError, RecipeError, WorkspaceError
from luthier.core.files import atomic_directory
from luthier.core.recipe import DataSection
from luthier.core.rows import SPLITS, Origin, Row, Split
from luthier.data.clean import cleaning_steps
from luthier.data.dataset import LEDGER_NAME, REPORT_NAME, ROWS_NAME, DatasetWriter
from luthier.data.dedupe import Match, exact_duplicates, near_duplicates
from luthier.data.language import known_languages
from luthier.data.layout import Layout, resolve_layout
from luthier.data.ledger import LedgerEntry, Tally
from luthier.data.reasons import reason_kind
from luthier.data.split import SplitRow, split_rows
from luthier.data.stage import LengthLimit, Stage, StagedRecord, stage_records
from luthier.data.transform import Rules
from luthier.sources import Manifest, sample_fields, write_shards

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A written dataset; `sources` are (name, SHA-256) of the files it was made from, `report` plain JSON values."""

    id: str
    folder: Path
    report: Mapping[str, object]
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Duplicates:
    """Rows to drop, by index, and pairs of rows to keep together."""

    exact: Mapping[int, int]
    near: Mapping[int, Match]
    together: Sequence[tuple[int, int]]


def prepare(
    data: DataSection,
    root: Path,
    folder_for: Callable[[str], Path],
    token_count: Callable[[Row], int],
    progress: Progress = lambda _: None,
) -> Prepared:
    """Make the dataset that a recipe describes. Source paths are relative to `root`.

    `folder_for` gives the folder of a dataset id; `token_count` the tokens of a row as it will be trained, or raises
    TemplateError, which sends the row to the ledger. The same files and recipe give the same id on every machine.
    Raises SourceError, RecipeError, DatasetError (no row is left) or WorkspaceError (cannot write); then nothing is
    left behind.
    """
    started = time.perf_counter()
    _check_languages(data.clean.languages)
    with _scratch_folder(folder_for("scratch").parent) as scratch:
        paths = [(root / source.path, source.path) for source in data.sources]
        manifest = write_shards(paths, scratch / "shards", progress)
        layouts = _layouts(data, manifest)
        steps = cleaning_steps(data.clean, data.system)
        rules = Rules(layouts, steps, data.split.group_by, data.clean.redact)
        stage = stage_records(manifest, rules, LengthLimit(data.max_length, token_count), scratch, progress)
        progress("looking for duplicates")
        duplicates = _find_duplicates(stage, data.clean.near_duplicates)
        splits = _split(stage, duplicates, data)
        progress("writing the dataset")
        dataset_id, report = _write(stage, duplicates, splits, manifest, scratch)
        formats = {source.path: layout.format for source, layout in zip(data.sources, layouts, strict=True)}
        report = {"dataset": dataset_id, **report, "formats": formats}
        folder = folder_for(dataset_id)
        with atomic_directory(folder) as partial:
            for name in (ROWS_NAME, LEDGER_NAME):
                (scratch / name).replace(partial / name)
            (partial / REPORT_NAME).write_text(json.dumps(report, indent=2, ensure_ascii=False), encoding="utf-8")
    seconds = round(time.perf_counter() - started, 3)
    full_report = {**report, "path": str(folder), "seconds": seconds}
    return Prepared(dataset_id, folder, full_report, tuple((entry.name, entry.digest) for entry in manifest.sources))


@contextmanager
def _scratch_folder(place: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, on the disk where the dataset will lie: data outgrow a temporary one."""
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".prepare.", dir=place) as folder:
            yield Path(folder)
    except OSError as error:
        raise WorkspaceError(f"cannot write: {error.strerror or error}", where=str(place)) from error


def _check_languages(languages: Sequence[str]) -> None:
    if languages and (unknown := sorted(set(languages) - known_languages())):
        raise RecipeError(
            f"data.clean.languages: unknown {', '.join(unknown)}",
            where="recipe",
            allowed=f"ISO 639-1 codes: {', '.join(sorted(known_languages()))}",
        )


def _layouts(data: DataSection, manifest: Manifest) -> list[Layout]:
    return [
        resolve_layout(source, entry.fields, sample_fields(manifest, number), data.split.group_by)
        for number, (source, entry) in enumerate(zip(data.sources, manifest.sources, strict=True))
    ]


def _find_duplicates(stage: Stage, threshold: float | None) -> _Duplicates:
    """Without a threshold nothing is dropped, but what is alike stays together."""
    exact = exact_duplicates(stage.hashes, stage.eligible, stage.present)
    first = np.ones_like(stage.eligible)
    first[list(exact)] = False
    near = near_duplicates(stage.bands_path, stage.keys, stage.eligible & first, stage.present & first, threshold)
    if threshold is None:
        return _Duplicates({}, {}, [*near.siblings, *((lead, row) for row, lead in exact.items())])
    return _Duplicates(exact, near.matches, near.siblings)


def _split(stage: Stage, duplicates: _Duplicates, data: DataSection) -> dict[int, Split]:
    """The split of each row that is kept, by index. Raises DatasetError if none is."""
    rows: dict[int, SplitRow] = {}
    reasons: Counter[str] = Counter()
    kept = stage.eligible.copy()
    kept[[*duplicates.exact, *duplicates.near]] = False
    keys = stage.keys(set(np.flatnonzero(kept).tolist()))
    for record in stage.records():
        if kept[record.index] and record.row is not None:
            words = frozenset(keys[record.index].split(" "))
            rows[record.index] = SplitRow(record.row.id, record.row.groups, words)
        reasons.update(reason_kind(reason) for reason in record.reasons)
    if not rows:
        why = ", ".join(f"{kind} ({count})" for kind, count in reasons.most_common())
        raise DatasetError(f"no rows are left of {len(kept)} records: {why}", where="data")
    place = {index: position for position, index in enumerate(rows)}
    links = [(place[one], place[other]) for one, other in duplicates.together if one in place and other in place]
    return dict(zip(rows, split_rows(list(rows.values()), links, data.split), strict=True))


def _write(
    stage: Stage, duplicates: _Duplicates, splits: Mapping[int, Split], manifest: Manifest, folder: Path
) -> tuple[str, dict[str, object]]:
    """Write rows and ledger into `folder`; gives the dataset's id and what the report says of them."""
    tally = Tally((source.name, source.records) for source in manifest.sources)
    redactions: Counter[str] = Counter()
    leads = {*duplicates.exact.values(), *(match.row for match in duplicates.near.values())}
    origins: dict[int, Origin] = {}
    with DatasetWriter(folder) as writer:
        for record in stage.records():
            if record.index in leads:
                origins[record.index] = record.origin
            reasons = (*record.reasons, *_duplicate_reasons(record.index, duplicates, origins))
            entry = _entry(record, reasons)
            writer.add(entry, record.row if entry.kept else None, splits.get(record.index))
            tally.add(record.source, entry)
            redactions.update(record.redactions)
    tally.check()
    per_split = Counter(splits.values())
    report = {
        **tally.totals(),
        "splits": {split: per_split[split] for split in SPLITS},
        "files": [asdict(count) for count in tally.files],
        "reasons": dict(tally.reasons.most_common()),
        "redactions": dict(sorted(redactions.items())),
    }
    return writer.dataset_id(), report


def _entry(record: StagedRecord, reasons: tuple[str, ...]) -> LedgerEntry:
    row_ids = (record.row.id,) if record.row is not None and not reasons else ()
    return LedgerEntry(record.origin, bool(row_ids), row_ids, reasons, record.original)


def _duplicate_reasons(index: int, duplicates: _Duplicates, origins: Mapping[int, Origin]) -> Iterator[str]:
    if index in duplicates.exact:
        origin = origins[duplicates.exact[index]]
        yield f"exact duplicate: of {origin.file} row {origin.row}"
    if index in duplicates.near:
        match = duplicates.near[index]
        origin = origins[match.row]
        yield f"near duplicate: of {origin.file} row {origin.row}, {match.likeness:.0%} alike"
