"""Which format the records of a source have, and which of their fields is which."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from luthier.core.errors import SourceError
from luthier.core.recipe import RowFormat, SourceSection
from luthier.data.formats import FORMATS, Fields, Parsed, parsed_list, text_of
from luthier.data.turns import read_transcript, read_turn_list

_TRANSCRIPT_SHARE = 0.5
"""Share of sampled texts that must read as transcripts with both sides before a field counts as one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """A format, and {name that the format expects: name in the file}; group fields are in it too."""

    format: RowFormat
    columns: Mapping[str, str]

    def read(self, fields: Fields) -> Parsed:
        """The row's content. A field that this record lacks reads as empty."""
        return FORMATS[self.format].read({name: fields.get(column) for name, column in self.columns.items()})

    def groups(self, fields: Fields, group_by: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """(field, value) of the group fields that are not empty."""
        values = ((name, text_of(fields.get(self.columns.get(name, name)))) for name in group_by)
        return tuple((name, value) for name, value in values if value)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a source: the names in any of its records, and a sample of records."""

    names: tuple[str, ...]
    samples: Sequence[Fields]


def resolve_layout(
    source: SourceSection, names: Sequence[str], samples: Sequence[Fields], group_by: Sequence[str]
) -> Layout:
    """The layout of a source with fields `names`, from the recipe and, where that is silent, from sampled records.

    Raises SourceError for a column that is not there, a name that no format expects, or an unknown layout; each says
    what is there and what is allowed.
    """
    seen = _Seen(tuple(names), samples)
    _check_columns(source, seen, group_by)
    mapping = {name: column for name, column in source.columns.items() if name not in group_by}
    grouping = {name: column for name, column in source.columns.items() if name in group_by}
    for format_name in [source.format] if source.format else FORMATS:
        columns = _complete(format_name, mapping, seen, given=source.format is not None)
        if columns is not None:
            return Layout(format_name, {**columns, **grouping})
    raise _unknown_layout(source, seen)


def _check_columns(source: SourceSection, seen: _Seen, group_by: Sequence[str]) -> None:
    formats = [FORMATS[source.format]] if source.format else list(FORMATS.values())
    expected = list(dict.fromkeys([*(name for each in formats for name in each.names), *group_by]))
    for name, column in source.columns.items():
        if name not in expected:
            raise SourceError(
                f"columns: unknown name {name!r}", where=source.path, allowed=_nearest(name, expected, "allowed")
            )
        if column not in seen.names:
            raise SourceError(
                f"no column {column!r} for {name}",
                where=source.path,
                allowed=_nearest(column, seen.names, "columns there are"),
            )


def _nearest(name: str, choices: Iterable[str], label: str) -> str:
    listed = list(choices)
    close = difflib.get_close_matches(name, listed, n=1, cutoff=0.5)
    return (f"did you mean {close[0]}? " if close else "") + f"{label}: {', '.join(listed)}"


def _unknown_layout(source: SourceSection, seen: _Seen) -> SourceError:
    there = ", ".join(seen.names)
    if source.format:
        needed = [name for name in FORMATS[source.format].required if name not in source.columns]
        return SourceError(
            f"format {source.format} needs {' and '.join(needed)}",
            where=source.path,
            allowed=f"name them under columns; columns there are: {there}",
        )
    return SourceError(
        f"cannot tell what the columns are: {there}",
        where=source.path,
        allowed="map them, e.g. columns: {prompt: …, completion: …} or {text: …}; formats: " + ", ".join(FORMATS),
    )


def _complete(format_name: RowFormat, mapping: Mapping[str, str], seen: _Seen, *, given: bool) -> dict[str, str] | None:
    """`mapping` with the missing names found among the fields; None where the records are not of this format.

    Names alone are enough where the recipe gives the format, or where it is one that names tell from others.
    """
    form = FORMATS[format_name]
    if not set(mapping) <= set(form.names):
        return None
    expected = {**form.required, **form.optional}
    named = {name: column for name in expected if (column := _find_alias(expected[name], seen.names)) is not None}
    columns = named | dict(mapping)
    told_by_values = format_name in ("messages", "sharegpt", "transcript")
    if set(form.required) <= set(columns) and (given or not told_by_values):
        return columns
    fields = _fields_of_format(format_name, seen)
    name = next(iter(form.required))
    if columns.get(name) in fields:
        return columns
    return {**columns, name: fields[0]} if len(fields) == 1 and name not in mapping else None


def _find_alias(aliases: Sequence[str], names: Sequence[str]) -> str | None:
    spelled = {name.strip().lower(): name for name in reversed(names)}
    return next((spelled[alias] for alias in aliases if alias in spelled), None)


def _fields_of_format(format_name: RowFormat, seen: _Seen) -> list[str]:
    """Fields whose sampled values are what a format of one field needs."""
    values = {name: [sample.get(name) for sample in seen.samples] for name in seen.names}
    if format_name in ("messages", "sharegpt"):
        return [name for name in seen.names if _turn_format(values[name]) == format_name]
    if format_name == "transcript":
        return [name for name in seen.names if _are_transcripts([text_of(value) for value in values[name]])]
    if format_name == "text":
        return [name for name in seen.names if any(isinstance(value, str) for value in values[name])]
    return []


def _turn_format(values: Sequence[object]) -> RowFormat | None:
    """Which of the formats that are lists of turns these values have: ShareGPT names the speaker under `from`."""
    for value in values:
        turns = parsed_list(value)
        if isinstance(turns, list) and turns and isinstance(read_turn_list(turns), tuple):
            return "sharegpt" if "from" in turns[0] else "messages"
    return None


def _are_transcripts(texts: Sequence[str]) -> bool:
    filled = [text for text in texts if text]
    both_sides = sum(_has_both_sides(text) for text in filled)
    return both_sides > _TRANSCRIPT_SHARE * len(filled)


def _has_both_sides(text: str) -> bool:
    messages = read_transcript(text)
    return isinstance(messages, tuple) and {"user", "assistant"} <= {message["role"] for message in messages}
