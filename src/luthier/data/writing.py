"""The last pass of `prepare`: rows and ledger of the dataset, partition by partition."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from luthier.core.rows import SPLITS, Origin
from luthier.data.dataset import ROW_SCHEMA, DatasetWriter
from luthier.data.dedupe import Match
from luthier.data.ledger import Tally
from luthier.data.passes import Remarks
from luthier.data.staged import Mask, Part, Stage, redaction_counts
from luthier.sources import Manifest

NO_SPLIT = -1


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Rows to drop, by index: with the row that each repeats, or is like."""

    exact: Mapping[int, int]
    near: Mapping[int, Match]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What was decided of the records beyond what each one's own cleaning said.

    `splits` has for each record the number of its split in `SPLITS`, or `NO_SPLIT` where it is not kept.
    """

    splits: npt.NDArray[np.int8]
    duplicates: Duplicates
    remarks: Remarks

    @property
    def kept(self) -> Mask:
        kept: Mask = self.splits != NO_SPLIT
        return kept


def write_dataset(stage: Stage, verdicts: Verdicts, manifest: Manifest, folder: Path) -> tuple[str, dict[str, object]]:
    """Write rows and ledger into `folder`; gives the dataset's id and what the report says of them."""
    tally = Tally((source.name, source.records) for source in manifest.sources)
    redactions: Counter[str] = Counter()
    duplicates = verdicts.duplicates
    leads = {*duplicates.exact.values(), *(match.row for match in duplicates.near.values())}
    origins: dict[int, Origin] = {}
    with DatasetWriter(folder) as writer:
        for part in stage.parts:
            records = part.records_table()
            files, numbers = records["file"], records["row"]
            for index in leads.intersection(range(part.span.start, part.span.stop)):
                place = index - part.first
                origins[index] = Origin(files[place].as_py(), numbers[place].as_py())
            reasons = _reasons(records, part, verdicts, origins)
            kept = verdicts.kept[part.span]
            assert [not own for own in reasons] == kept.tolist(), "a record neither kept nor dropped"
            rows = _rows(records, part, verdicts)
            writer.add(rows, _ledger(records, reasons, kept, rows["flags"].to_pylist()))
            _count(tally, records["source"].to_numpy(), kept, reasons)
            redactions.update(redaction_counts(records))
    tally.check()
    per_split = np.bincount(verdicts.splits[verdicts.kept], minlength=len(SPLITS)).tolist()
    report = {
        **tally.totals(),
        "splits": dict(zip(SPLITS, per_split, strict=True)),
        "files": [asdict(count) for count in tally.files],
        "reasons": dict(tally.reasons.most_common()),
        "redactions": dict(sorted(redactions.items())),
    }
    return writer.dataset_id(), report


def _reasons(records: pa.Table, part: Part, verdicts: Verdicts, origins: Mapping[int, Origin]) -> list[list[str]]:
    """All reasons of each record, its own first."""
    reasons: list[list[str]] = records["reasons"].to_pylist()
    exact, near = verdicts.duplicates.exact, verdicts.duplicates.near
    for place in np.flatnonzero(~verdicts.kept[part.span]).tolist():
        index = part.first + place
        if index in exact:
            reasons[place].append(f"exact duplicate: of {_name(origins[exact[index]])}")
        if index in near:
            match = near[index]
            reasons[place].append(f"near duplicate: of {_name(origins[match.row])}, {match.likeness:.0%} alike")
        reasons[place] += verdicts.remarks.reasons.get(index, [])
    return reasons


def _name(origin: Origin) -> str:
    return f"{origin.file} row {origin.row}"


def _rows(records: pa.Table, part: Part, verdicts: Verdicts) -> pa.Table:
    """The rows kept, in `ROW_SCHEMA`."""
    splits = verdicts.splits[part.span]
    places = np.flatnonzero(splits != NO_SPLIT)
    names = pa.DictionaryArray.from_arrays(pa.array(splits[places]), pa.array(SPLITS)).cast(pa.string())
    rows = records.take(places).append_column("split", names)
    remarks = verdicts.remarks.flags
    flagged = [place for place, index in enumerate((part.first + places).tolist()) if index in remarks]
    if flagged:
        flags = rows["flags"].to_pylist()
        for place in flagged:
            flags[place] += remarks[part.first + int(places[place])]
        field = ROW_SCHEMA.field("flags")
        rows = rows.set_column(rows.schema.get_field_index("flags"), field, pa.array(flags, field.type))
    return rows.select(ROW_SCHEMA.names)


def _ledger(records: pa.Table, reasons: list[list[str]], kept: Mask, flags: list[list[str]]) -> pa.Table:
    """What became of the records, in `LEDGER_SCHEMA`; `flags` are those of the rows kept."""
    flagged = iter(flags)
    ids = records["id"].combine_chunks().filter(pa.array(kept))
    offsets = np.concatenate([[0], np.cumsum(kept)]).astype(np.int32)
    return pa.table(
        {
            "file": records["file"],
            "row": records["row"],
            "kept": pa.array(kept),
            "row_ids": pa.ListArray.from_arrays(offsets, ids),
            "reasons": pa.array(reasons, pa.list_(pa.string())),
            "original": records["original"],
            "flags": pa.array([next(flagged) if keep else [] for keep in kept.tolist()], pa.list_(pa.string())),
        }
    )


def _count(tally: Tally, sources: npt.NDArray[np.int32], kept: Mask, reasons: list[list[str]]) -> None:
    for source in np.unique(sources).tolist():
        of_source = kept[sources == source]
        tally.add(source, int(of_source.sum()), int((~of_source).sum()))
    for place in np.flatnonzero(~kept).tolist():
        tally.add_reasons(reasons[place])
