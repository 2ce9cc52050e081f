"""What changed from one dataset to another, by the record that rows were made of."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from luthier.core.rows import Origin
from luthier.data.dataset import iterate_rows, read_ledger
from luthier.data.reasons import reason_kind

_EXAMPLES = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """One record of which the two datasets differ, and how, in words."""

    origin: Origin
    what: str

    def to_json(self) -> dict[str, object]:
        return {"file": self.origin.file, "row": self.origin.row, "what": self.what}


@dataclass(frozen=True, slots=True)
class DatasetDiff:
    """Records by what became of them in the second dataset, with examples; `same` rows are equal in text and split."""

    same: int
    counts: Mapping[str, int]
    examples: tuple[Difference, ...] = field(repr=False)

    def to_json(self) -> dict[str, object]:
        return {
            "same": self.same,
            "counts": dict(self.counts),
            "examples": [example.to_json() for example in self.examples],
        }


@dataclass(frozen=True, slots=True)
class _Fate:
    """What became of one record: its rows and their split, or why there is none."""

    rows: tuple[str, ...]
    split: str
    reasons: tuple[str, ...]


def diff_datasets(before: Path, after: Path) -> DatasetDiff:
    """Compare two dataset folders record by record; holds ids and reasons of both in memory, not texts.

    Raises DatasetError where a folder holds no dataset.
    """
    old, new = _fates(before), _fates(after)
    counts: Counter[str] = Counter()
    examples: list[Difference] = []
    same = 0
    for origin in [*old, *(origin for origin in new if origin not in old)]:
        kind, what = _compare(old.get(origin), new.get(origin))
        if kind is None:
            same += 1
            continue
        counts[kind] += 1
        if counts[kind] <= _EXAMPLES:
            examples.append(Difference(origin, what))
    return DatasetDiff(same, dict(counts.most_common()), tuple(examples))


def _fates(folder: Path) -> dict[Origin, _Fate]:
    splits = {row.id: split for row, split in iterate_rows(folder)}
    return {
        entry.origin: _Fate(entry.row_ids, splits[entry.row_ids[0]] if entry.row_ids else "", entry.reasons)
        for entry in read_ledger(folder)
    }


def _compare(old: _Fate | None, new: _Fate | None) -> tuple[str | None, str]:
    """The kind of difference, None where there is none, and what happened in words."""
    if old is None or new is None:
        fate = old or new
        assert fate is not None
        verb = "gone" if new is None else "new"
        outcome = "kept" if fate.rows else "dropped"
        return f"record {verb}, {outcome}", f"{verb}: {'; '.join(fate.reasons) or fate.split}"
    if old.rows and not new.rows:
        return "no longer kept", f"dropped now: {'; '.join(new.reasons)}"
    if new.rows and not old.rows:
        return "kept now", f"was dropped: {'; '.join(old.reasons)}"
    if old.rows != new.rows:
        return "text changed", f"{', '.join(old.rows)} is now {', '.join(new.rows)}"
    if old.split != new.split:
        return "moved to another split", f"from {old.split} to {new.split}"
    if {reason_kind(reason) for reason in old.reasons} != {reason_kind(reason) for reason in new.reasons}:
        return "dropped for other reasons", f"{'; '.join(old.reasons)} became {'; '.join(new.reasons)}"
    return None, ""
