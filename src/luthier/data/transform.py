"""From a source record to a cleaned row, one record at a time."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from luthier.core.identity import content_id
from luthier.core.recipe import RedactSection
from luthier.core.rows import Origin, Row
from luthier.data.clean import Step, run_steps, spoken
from luthier.data.content import Content
from luthier.data.layout import Layout
from luthier.data.reasons import Dropped
from luthier.data.redaction import redact_value

_PSEUDONYM_DIGITS = 12


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


def transform_record(origin: Origin, source: int, raw: str, error: str | None, rules: Rules) -> Outcome:
    """Read, clean and mask one record; `raw` is its JSON, `error` why it could not be read, if so."""
    redactions: Counter[str] = Counter()
    record = json.loads(raw)
    try:
        masked = redact_value(record, rules.redact, redactions)
        original = json.dumps(masked, ensure_ascii=False) if redactions else raw
    except RecursionError:
        return Outcome('"nested too deeply"', reasons=("unreadable: nested too deeply",))
    if error is not None:
        return Outcome(original, reasons=(f"unreadable: {error}",), redactions=redactions)
    layout = rules.layouts[source]
    content = layout.read(record)
    if isinstance(content, Dropped):
        return Outcome(original, reasons=content.reasons, redactions=redactions)
    row = _as_row(origin, content, _groups(layout.groups(record, rules.group_by), content, rules))
    cleaned = run_steps(row, rules.steps)
    row = replace(cleaned.row, id=row_id(cleaned.row))
    return Outcome(original, row, spoken(row), cleaned.reasons, redactions)


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
