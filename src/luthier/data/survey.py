"""What a dataset is like: gathered row by row while it is written, for its report."""

import heapq
import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from luthier.core.rows import SPLITS, Origin, Row, Split
from luthier.data.clean import spoken
from luthier.data.dataset import iterate_rows, read_ledger
from luthier.data.language import guess_language
from luthier.data.ledger import LedgerEntry
from luthier.data.reasons import reason_kind
from luthier.data.topics import find_topics

LENGTH_LIMITS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
"""Upper ends of the bars of a length histogram; longer rows have a bar of their own."""
SAMPLED_ROWS = 1_000
"""Rows whose tokens, language and topic are looked at."""
_CHANGED = 6
_PER_KIND = 4
_CANDIDATES = 300

Item = TypeVar("Item")
Measure = Callable[[Row], tuple[int, int]]
"""Tokens of a row as it will be trained, and how many of them are targets."""


class Sample(Generic[Item]):
    """The items with the smallest keys: as good as drawn at random where keys are digests, and the same every time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._heap: list[tuple[int, int, Item]] = []
        self._added = 0

    def add(self, key: str, item: Item) -> None:
        """`key` is an id that ends in hexadecimal digits of a digest."""
        place = -int(key[-12:], 16)
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (place, self._added, item))
        elif place > self._heap[0][0]:
            heapq.heapreplace(self._heap, (place, self._added, item))
        self._added += 1

    def items(self) -> list[Item]:
        """In the order in which they were added."""
        return [item for _, _, item in sorted(self._heap, key=lambda entry: entry[1])]


class Lengths:
    """A histogram of lengths, and percentiles to the nearest bar's upper end."""

    def __init__(self, lengths: Collection[int] = ()) -> None:
        self._bars = [0] * (len(LENGTH_LIMITS) + 1)
        self._longest = 0
        for length in lengths:
            self.add(length)

    def add(self, length: int) -> None:
        self._bars[bisect_left(LENGTH_LIMITS, length)] += 1
        self._longest = max(self._longest, length)

    def to_json(self) -> dict[str, object]:
        labels = [*(f"to {limit:,}" for limit in LENGTH_LIMITS), f"over {LENGTH_LIMITS[-1]:,}"]
        filled = [place for place, count in enumerate(self._bars) if count]
        shown = range(filled[0], filled[-1] + 1) if filled else range(0)
        return {"bars": [[labels[place], self._bars[place]] for place in shown], "longest": self._longest}


class Change(NamedTuple):
    """A record as it was read, as JSON, and the row that was made of it."""

    origin: Origin
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something said of one record, with the record itself as JSON."""

    origin: Origin
    remark: str
    original: str

    def to_json(self) -> dict[str, object]:
        return {
            "file": self.origin.file,
            "row": self.origin.row,
            "remark": self.remark,
            "original": self.original,
        }


class Survey:
    """Gathers figures and samples of a dataset. Memory is bounded; figures of a sample say so."""

    def __init__(self) -> None:
        self._words: Mapping[Split, Lengths] = {split: Lengths() for split in SPLITS}
        self._labels: dict[Split, Counter[str]] = defaultdict(Counter)
        self._flags: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._rows: Sample[Row] = Sample(SAMPLED_ROWS)
        self._kept: Sample[tuple[LedgerEntry, Row]] = Sample(_CANDIDATES)
        self._remarks: dict[str, Sample[Remark]] = defaultdict(lambda: Sample(_PER_KIND))

    def add(self, entry: LedgerEntry, rows: Sequence[Row], split: Split | None) -> None:
        """Take in what became of one record; `rows` were made of it and stand in `split`."""
        for reason in entry.reasons:
            self._remark(reason, entry)
        for row in rows:
            assert split is not None
            self._words[split].add(len(spoken(row).split()))
            if row.label is not None:
                self._labels[split][row.label] += 1
            self._kinds[row_kind(row)] += 1
            self._rows.add(row.id, row)
            for flag in row.flags:
                self._remark(flag, entry)
            self._flags.update({reason_kind(flag) for flag in row.flags})
        if rows:
            self._kept.add(rows[0].id, (entry, rows[0]))

    def _remark(self, remark: str, entry: LedgerEntry) -> None:
        # Rows that are dropped have no id: the place of a record in its file is as good a key, once it is stirred.
        place = f"{entry.origin.row * 0x9E3779B97F4A7C15 % 2**48:012x}"
        self._remarks[reason_kind(remark)].add(place, Remark(entry.origin, remark, entry.original))

    def sampled_rows(self) -> list[Row]:
        return self._rows.items()

    def figures(self, measure: Measure) -> dict[str, object]:
        """Everything gathered, as plain JSON values."""
        sampled = self.sampled_rows()
        measured = [measure(row) for row in sampled]
        return {
            "kinds": dict(self._kinds.most_common()),
            "words": {split: lengths.to_json() for split, lengths in self._words.items()},
            "tokens": {
                **Lengths([tokens for tokens, _ in measured]).to_json(),
                "rows": len(sampled),
                "mean": round(sum(tokens for tokens, _ in measured) / max(1, len(measured)), 1),
                "mean_targets": round(sum(targets for _, targets in measured) / max(1, len(measured)), 1),
            },
            "labels": {split: dict(counts.most_common()) for split, counts in self._labels.items()},
            "flags": dict(self._flags.most_common()),
            "languages": dict(_languages(sampled).most_common()),
            "topics": [topic.to_json() for topic in find_topics([_subject(row) for row in sampled])],
            "changed": [change._asdict() | {"origin": list_of(change.origin)} for change in self._changes()],
            "remarks": {
                kind: [remark.to_json() for remark in sample.items()] for kind, sample in self._remarks.items()
            },
        }

    def _changes(self) -> list[Change]:
        changes = (Change(entry.origin, entry.original, row.plain()) for entry, row in self._kept.items())
        return [change for change in changes if _is_changed(change)][:_CHANGED]


def survey_dataset(folder: Path) -> Survey:
    """The survey of a dataset that is written. Raises DatasetError where the folder holds none."""
    survey = Survey()
    rows = iterate_rows(folder)
    for entry in read_ledger(folder):
        made = list(islice(rows, len(entry.row_ids)))
        survey.add(entry, [row for row, _ in made], made[0][1] if made else None)
    return survey


def row_kind(row: Row) -> str:
    """What a row is, in words that a reader knows."""
    if row.rejected:
        return "preference pair"
    if row.rating:
        return "rated answer"
    if row.tools or any("tool_calls" in message for message in row.messages):
        return "conversation with tools"
    if row.label is not None:
        return "labelled text"
    if not row.messages:
        return "text"
    users = sum(message["role"] == "user" for message in row.messages)
    return "question and answer" if users == 1 else "conversation"


def list_of(origin: Origin) -> list[object]:
    return [origin.file, origin.row]


def _subject(row: Row) -> str:
    """What a row is about: what users say, or the text."""
    if not row.messages:
        return row.text
    return "\n".join(message["content"] for message in row.messages if message["role"] == "user")


def _languages(rows: Sequence[Row]) -> Counter[str]:
    guesses = (guess_language(spoken(row, without=("system", "tool")), ()) for row in rows)
    return Counter(guess.likeliest if guess else "too short to tell" for guess in guesses)


def _is_changed(change: Change) -> bool:
    """Whether some line of the row stands nowhere in the record."""
    before = "\n".join(_strings(json.loads(change.before)))
    return any(line.strip() not in before for line in change.after.split("\n")[1:])


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
