"""What became of each source record."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from luthier.core.rows import Origin
from luthier.data.reasons import reason_kind


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One source record: kept, with the ids of the rows made of it, or dropped, with every reason.

    `original` is what was read, as JSON, masked unless the recipe says otherwise. `flags` are the remarks on rows that
    are kept.
    """

    origin: Origin
    kept: bool
    row_ids: tuple[str, ...]
    reasons: tuple[str, ...]
    original: str
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.kept == bool(self.row_ids) == (not self.reasons), f"neither kept nor dropped: {self.origin}"


@dataclass(slots=True)
class FileCount:
    """How many records of a file were read, kept and dropped."""

    path: str
    read: int
    kept: int = 0
    dropped: int = 0


class Tally:
    """Counts records as they pass, by source and by kind of reason."""

    def __init__(self, read: Iterable[tuple[str, int]]) -> None:
        self.files = [FileCount(path, count) for path, count in read]
        self.reasons: Counter[str] = Counter()

    def add(self, source: int, kept: int, dropped: int) -> None:
        """Count records of the file that is number `source`, from 0."""
        self.files[source].kept += kept
        self.files[source].dropped += dropped

    def add_reasons(self, reasons: Iterable[str]) -> None:
        """Count the reasons of one record."""
        self.reasons.update({reason_kind(reason) for reason in reasons})

    def check(self) -> None:
        """Every record read is in the ledger, once."""
        for count in self.files:
            assert count.kept + count.dropped == count.read, f"records lost or doubled: {count}"

    def totals(self) -> Mapping[str, int]:
        return {name: sum(getattr(count, name) for count in self.files) for name in ("read", "kept", "dropped")}
