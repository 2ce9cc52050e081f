"""Leakage: rows to test on that are like rows to train on, told by their sets of words."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from luthier.core.errors import DatasetError, SourceError
from luthier.core.recipe import DataSection, SourceSection, Task
from luthier.core.rows import SPLITS, Row
from luthier.data.clean import cleaning_steps, spoken
from luthier.data.content import Fields
from luthier.data.layout import Layout, resolve_layout
from luthier.data.ragged import Numbers, Ragged, jaccard_likenesses, joined
from luthier.data.sketch import comparison_key, word_sets
from luthier.data.transform import RawRecord, Rules, transform_records
from luthier.data.word_sets import CrossMatches, find_alike
from luthier.sources import read_records

_ROWS_AT_ONCE = 50_000
_SAMPLES = 200
_QUESTIONS = ("question", "prompt", "instruction", "input")
"""Fields that hold what is asked, in files for evaluation that have no answers."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A held-out row and a known row whose words are `likeness` alike (Jaccard), by their numbers."""

    held_out: int
    known: int
    likeness: float


@dataclass(frozen=True, slots=True)
class Compared:
    """Leaks between two sets of rows: one for each row of either set that has any. `complete` is false where the rows
    were too many and too alike to look at every pair."""

    leaks: tuple[Leak, ...]
    complete: bool


def find_leaks(known: Iterable[tuple[int, Row]], held_out: Sequence[Row]) -> Compared:
    """Compare numbered rows with the rows `held_out`: leaks are pairs of Jaccard likeness 0.8 or more, all found.

    Rows are compared whole, without the system prompt. A held-out row without an answer is a question: it is also
    compared with each turn of a customer. Memory grows with the rows held out only.
    """
    questions = ((number, row) for number, row in enumerate(held_out) if not _is_answered(row))
    sides = [(_whole, _Texts.of(enumerate(held_out), _whole)), (_customer_turns, _Texts.of(questions, _whole))]
    remaining = iter(known)
    leaks: list[Leak] = []
    complete = True
    while chunk := list(islice(remaining, _ROWS_AT_ONCE)):
        for read, texts in sides:
            found = _compare(_Texts.of(chunk, read), texts)
            leaks += found.leaks
            complete &= found.complete
    return Compared(tuple(_first_of_each(leaks)), complete)


def drop_leaks(rows: Iterable[tuple[int, Row]], held_out: Sequence[Row]) -> Mapping[int, str]:
    """A pass over the corpus: reasons to drop the rows that leak what is held out."""
    leaks = {leak.known: leak for leak in reversed(find_leaks(rows, held_out).leaks)}
    origins = {number: held_out[leak.held_out].origin for number, leak in leaks.items()}
    return {
        number: f"held out: like {origins[number].file} row {origins[number].row}, {leak.likeness:.0%} alike"
        for number, leak in leaks.items()
    }


def split_leakage(words: Ragged, splits: npt.NDArray[np.int8]) -> dict[str, object]:
    """For the report: how many rows of one split are like rows of another. `splits` has the number of each row's."""
    matches = CrossMatches.between(splits.astype(np.int64))
    complete = find_alike(words, matches)
    found = []
    for other, one in combinations(range(matches.partners.shape[1]), 2):
        members = splits == one
        rows = int((matches.partners[members, other] >= 0).sum())
        if rows:
            found.append({"one": SPLITS[one], "other": SPLITS[other], "rows": rows, "of": int(members.sum())})
    return {"complete": complete, "found": found}


def rows_of_file(path: Path, name: str, data: DataSection, task: Task) -> list[Row]:
    """The rows of a file, mended and masked as the recipe does with its sources; none is dropped but what says nothing.

    Files for evaluation may hold questions without answers. Raises SourceError as `read_records` and `resolve_layout`
    do, DatasetError for a file without a row.
    """
    records = list(read_records(path, name))
    layout = _layout(name, [record.fields for record in records if record.error is None])
    rules = Rules([layout], cleaning_steps(data.clean, data.system, task), (), data.clean.redact)
    raw = (RawRecord(record.origin, 0, json.dumps(record.fields), record.error) for record in records)
    rows = [outcome.row for outcome in transform_records(raw, rules) if outcome.row is not None and spoken(outcome.row)]
    if not rows:
        raise DatasetError("holds no row to compare", where=name)
    return rows


@dataclass(frozen=True, slots=True)
class _Texts:
    """Sets of words, and the numbers of the rows that they come from."""

    owners: Numbers
    sets: Ragged

    @classmethod
    def of(cls, rows: Iterable[tuple[int, Row]], read: Callable[[Row], Iterable[str]]) -> "_Texts":
        owners: list[int] = []

        def keys() -> Iterator[str]:
            for number, row in rows:
                for key in filter(None, map(comparison_key, read(row))):
                    owners.append(number)
                    yield key

        sets = word_sets(keys())
        return cls(np.array(owners, np.int64), sets)


def _whole(row: Row) -> tuple[str, ...]:
    return (spoken(row),)


def _customer_turns(row: Row) -> Iterator[str]:
    return (message["content"] for message in row.messages if message["role"] == "user")


def _is_answered(row: Row) -> bool:
    return any(message["role"] == "assistant" for message in row.messages)


def _compare(known: _Texts, held_out: _Texts) -> Compared:
    if not len(known.owners) or not len(held_out.owners):
        return Compared((), True)
    sets = joined([known.sets, held_out.sets])
    matches = CrossMatches.between(np.repeat([0, 1], [len(known.owners), len(held_out.owners)]))
    complete = find_alike(sets, matches)
    edge = len(known.owners)
    of_known, of_held_out = matches.partners[:edge, 1], matches.partners[edge:, 0]
    pairs = np.concatenate(
        [
            np.stack([np.flatnonzero(of_known >= 0), of_known[of_known >= 0]], axis=1),
            np.stack([of_held_out[of_held_out >= 0], edge + np.flatnonzero(of_held_out >= 0)], axis=1),
        ]
    )
    one, other = np.unique(pairs, axis=0).T
    likenesses = jaccard_likenesses(sets.take(one), sets.take(other))
    triples = zip(held_out.owners[other - edge].tolist(), known.owners[one].tolist(), likenesses.tolist(), strict=True)
    return Compared(tuple(Leak(*triple) for triple in triples), complete)


def _first_of_each(leaks: Iterable[Leak]) -> Iterator[Leak]:
    """The leaks that say something of a row of which no other did, the most alike first of all."""
    seen: set[tuple[str, int]] = set()
    for leak in sorted(leaks, key=lambda leak: (-leak.likeness, leak.held_out, leak.known)):
        ends = {("held out", leak.held_out), ("known", leak.known)}
        if not ends <= seen:
            seen |= ends
            yield leak


def _layout(name: str, samples: Sequence[Fields]) -> Layout:
    """As of a source, or that of questions alone."""
    names = list(dict.fromkeys(field for sample in samples for field in sample))
    try:
        return resolve_layout(SourceSection(path=name), names, samples[:_SAMPLES], ())
    except SourceError:
        question = next((field for field in names if field.strip().lower() in _QUESTIONS), None)
        if question is None:
            raise
        return Layout("text", {"text": question})
