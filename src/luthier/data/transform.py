"""From source records to cleaned rows; each is looked at alone."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

from luthier.core.identity import content_id
from luthier.core.recipe import RedactSection
from luthier.core.rows import Origin, Row
from luthier.data.clean import Step, run_steps, run_steps_on, spoken
from luthier.data.content import Content
from luthier.data.layout import Layout
from luthier.data.reasons import Dropped
from luthier.data.redaction import redact_value

_PSEUDONYM_DIGITS = 12
_AT_A_TIME = 64
"""Records that go through a step together: more gain little, and long texts of many would fill memory."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the recipe wants done to records, by number of the source."""

    layouts: Sequence[Layout]
    steps: Sequence[Step]
    group_by: Sequence[str]
    redact: RedactSection | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a record became: a row unless it was unreadable, what it is compared by, and the reasons to drop it so far.

    `original` is the record as JSON, masked; `redactions` counts what was masked in it, by kind.
    """

    original: str
    row: Row | None = None
    compared: str = ""
    reasons: tuple[str, ...] = ()
    redactions: Mapping[str, int] = field(default_factory=dict)


class RawRecord(NamedTuple):
    """A record as it was read: its place, the number of its source, its JSON, and why it could not be read, if so."""

    origin: Origin
    source: int
    raw: str
    error: str | None = None


def transform_records(records: Iterable[RawRecord], rules: Rules) -> Iterator[Outcome]:
    """Read, clean and mask records, some at a time; see `run_steps_on`."""
    remaining = iter(records)
    while some := list(islice(remaining, _AT_A_TIME)):
        yield from _transformed(some, rules)


def _transformed(records: Sequence[RawRecord], rules: Rules) -> list[Outcome]:
    parsed = [json.loads(record.raw) for record in records]
    outcomes = [_masked(record, fields, rules.redact) for record, fields in zip(records, parsed, strict=True)]
    rows: dict[int, Row] = {}
    for place, (record, fields) in enumerate(zip(records, parsed, strict=True)):
        if outcomes[place].reasons:
            continue
        read = _read(record, fields, rules)
        if isinstance(read, Dropped):
            outcomes[place] = replace(outcomes[place], reasons=read.reasons)
        else:
            rows[place] = read
    for place, cleaned in zip(rows, run_steps_on(rows.values(), rules.steps), strict=True):
        row = replace(cleaned.row, id=row_id(cleaned.row))
        outcomes[place] = replace(outcomes[place], row=row, compared=spoken(row), reasons=cleaned.reasons)
    return outcomes


def _masked(record: RawRecord, fields: Any, redact: RedactSection | None) -> Outcome:
    """The record without personal data, and with a reason where nothing can be made of it."""
    redactions: Counter[str] = Counter()
    try:
        masked = redact_value(fields, redact, redactions)
        original = json.dumps(masked, ensure_ascii=False) if redactions else record.raw
    except RecursionError:
        return Outcome('"nested too deeply"', reasons=("unreadable: nested too deeply",))
    reasons = () if record.error is None else (f"unreadable: {record.error}",)
    return Outcome(original, reasons=reasons, redactions=redactions)


def _read(record: RawRecord, fields: Any, rules: Rules) -> Row | Dropped:
    layout = rules.layouts[record.source]
    content = layout.read(fields)
    if isinstance(content, Dropped):
        return content
    return _as_row(record.origin, content, _groups(layout.groups(fields, rules.group_by), content, rules))


def sample_rows(records: Iterable[tuple[int, Mapping[str, object]]], rules: Rules) -> Iterator[Row]:
    """The rows, without an id, of records given as (number of the source, fields); what the steps drop is left out."""
    for source, fields in records:
        content = rules.layouts[source].read(fields)
        if isinstance(content, Content):
            cleaned = run_steps(_as_row(Origin("", 0), content, ()), rules.steps)
            if not cleaned.reasons:
                yield cleaned.row


def row_id(row: Row) -> str:
    """An id from content and origin: equal texts from two records stay two rows."""
    content = [row.messages, row.text, row.tools, row.label, row.rejected, row.rating]
    return content_id("row", [row.origin.file, row.origin.row, *content])


def _as_row(origin: Origin, content: Content, groups: tuple[str, ...]) -> Row:
    return Row(
        "",
        origin,
        content.messages,
        content.text,
        groups,
        tools=content.tools,
        label=content.label,
        rejected=content.rejected,
        rating=content.rating,
        flags=content.flags,
    )


def _groups(named: Sequence[tuple[str, str]], content: Content, rules: Rules) -> tuple[str, ...]:
    """`field=value`; a value that is personal data becomes a pseudonym, equal for equal values.

    What the format knows counts where the record has no field of that name.
    """
    known = {name: value for name, value in content.groups if name in rules.group_by and value}
    return tuple(
        f"{name}={_pseudonym(value) if redact_value(value, rules.redact, Counter(), name) != value else value}"
        for name, value in {**known, **dict(named)}.items()
    )


def _pseudonym(value: str) -> str:
    return "#" + hashlib.sha256(value.encode()).hexdigest()[:_PSEUDONYM_DIGITS]
