"""Which format the records of a source have, and which of their fields is which.

A file may hold records of several shapes: beside the format that its fields and samples fit first, each further one
that enough of the sampled records have is read too, record by record.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from luthier.core.errors import SourceError
from luthier.core.recipe import RowFormat, SourceSection
from luthier.data.content import Fields, Parsed, parsed_list, text_of
from luthier.data.formats import FORMATS, rating_of
from luthier.data.turns import read_transcript, read_turn_list

_TRANSCRIPT_SHARE = 0.5
"""Share of sampled texts that must read as transcripts with both sides before a field counts as one."""
_SHAPE_SHARE = 0.05
"""Share of sampled records that must have a second shape before it is read too."""
_LABEL_CHARACTERS = 100
_LABEL_VARIETY = 0.5
"""Labels are short and come again: at most this share of the sampled ones, of which at least so many, may differ."""
_FEWEST_LABELS = 20


@dataclass(frozen=True, slots=True)
class Layout:
    """A format, and {name that the format expects: name in the file}; group fields are in it too.

    `others` are the layouts of records that have none of the fields which this format needs.
    """

    format: RowFormat
    columns: Mapping[str, str]
    others: "tuple[Layout, ...]" = ()

    @property
    def shown(self) -> str:
        """The names of all formats in it, for people."""
        return " + ".join([self.format, *(other.format for other in self.others)])

    def read(self, fields: Fields) -> Parsed:
        """The row's content. A field that this record lacks reads as empty."""
        if self.others and not self.begins(fields):
            for other in self.others:
                if other.complete(fields):
                    return other.read(fields)
        return FORMATS[self.format].read({name: fields.get(column) for name, column in self.columns.items()})

    def begins(self, fields: Fields) -> bool:
        """Whether a record has any of the fields that the format needs."""
        return any(self._needed(fields))

    def complete(self, fields: Fields) -> bool:
        """Whether a record has all the fields that the format needs."""
        return all(self._needed(fields))

    def groups(self, fields: Fields, group_by: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """(field, value) of the group fields that are not empty; the first of the values in a gathered thread."""
        found = (fields.get(self.columns.get(name, name)) for name in group_by)
        values = (next(filter(None, value), None) if isinstance(value, list) else value for value in found)
        return tuple((name, text_of(value)) for name, value in zip(group_by, values, strict=True) if text_of(value))

    def _needed(self, fields: Fields) -> list[bool]:
        return [fields.get(self.columns[name]) not in (None, "") for name in FORMATS[self.format].required]


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
    if source.thread_by:
        threaded = {"format": "comment_rows", "columns": {"ticket_id": source.thread_by, **source.columns}}
        source = source.model_copy(update=threaded)
    seen = _Seen(tuple(names), samples)
    _check_columns(source, seen, group_by)
    mapping = {name: column for name, column in source.columns.items() if name not in group_by}
    grouping = {name: column for name, column in source.columns.items() if name in group_by}
    for format_name in [source.format] if source.format else FORMATS:
        columns = _complete(format_name, mapping, seen, given=source.format is not None)
        if columns is not None:
            layout = Layout(format_name, {**columns, **grouping})
            return layout if source.format or mapping else _with_others(layout, seen)
    raise _unknown_layout(source, seen)


def _with_others(layout: Layout, seen: _Seen) -> Layout:
    """The layout with those of sampled records that have nothing of it."""
    others: list[Layout] = []
    fewest = max(1, _SHAPE_SHARE * len(seen.samples))
    rest = [sample for sample in seen.samples if not layout.begins(sample)]
    while len(rest) >= fewest:
        other = _named_layout(rest, seen.names)
        left = [sample for sample in rest if other is None or not other.complete(sample)]
        if other is None or len(rest) - len(left) < fewest:
            break
        others.append(other)
        rest = left
    return Layout(layout.format, layout.columns, tuple(others))


def _named_layout(samples: Sequence[Fields], names: Sequence[str]) -> Layout | None:
    """The layout of records by the fields that they fill; a field of any name does not make them texts."""
    filled = tuple(name for name in names if any(sample.get(name) not in (None, "") for sample in samples))
    for format_name, form in FORMATS.items():
        columns = _complete(format_name, {}, _Seen(filled, samples), given=False)
        if columns is not None:
            guessed = format_name == "text" and _find_alias(form.required["text"], filled) is None
            return None if guessed else Layout(format_name, columns)
    return None


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

    Names alone are enough where the recipe gives the format, or where they tell it from others.
    """
    form = FORMATS[format_name]
    if not set(mapping) <= set(form.names):
        return None
    expected = {**form.required, **form.optional}
    named = {name: column for name in expected if (column := _find_alias(expected[name], seen.names)) is not None}
    columns = named | dict(mapping)
    if set(form.required) <= set(columns) and (given or _told_by_names(format_name, columns, mapping, seen)):
        return columns
    fields = _fields_of_format(format_name, seen)
    name = next(iter(form.required))
    if columns.get(name) in fields:
        return columns
    return {**columns, name: fields[0]} if len(fields) == 1 and name not in mapping else None


def _told_by_names(format_name: RowFormat, columns: Mapping[str, str], mapping: Mapping[str, str], seen: _Seen) -> bool:
    """Whether records that have all the fields of a format are of it.

    A label is one where the recipe maps it, or maps nothing and the sampled values agree.
    """
    recognises = FORMATS[format_name].recognises
    if recognises is not None:
        named = ({name: sample.get(column) for name, column in columns.items()} for sample in seen.samples)
        return any(map(recognises, named))
    if format_name in ("messages", "sharegpt", "transcript"):
        return False
    if format_name not in ("thumbs", "labelled"):
        return True
    if format_name == "thumbs" and not _has_conversation(columns):
        return False
    if "label" in mapping:
        return True
    labels = [sample.get(columns["label"]) for sample in seen.samples]
    return not mapping and (_are_ratings(labels) if format_name == "thumbs" else _are_labels(labels))


def _has_conversation(columns: Mapping[str, str]) -> bool:
    pairs = ("messages",), ("prompt", "completion"), ("instruction", "output")
    return any(set(pair) <= set(columns) for pair in pairs)


def _are_ratings(values: Sequence[object]) -> bool:
    filled = [value for value in values if text_of(value)]
    return bool(filled) and all(rating_of(value) for value in filled)


def _are_labels(values: Sequence[object]) -> bool:
    """Whether values look like classes: short, and not nearly all of them different."""
    if not all(value is None or isinstance(value, str | int) for value in values):
        return False
    labels = [text for value in values if (text := text_of(value))]
    few = len(labels) < _FEWEST_LABELS or len(set(labels)) <= _LABEL_VARIETY * len(labels)
    return bool(labels) and few and max(map(len, labels)) <= _LABEL_CHARACTERS


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
