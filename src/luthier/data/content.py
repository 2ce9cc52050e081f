"""What a record holds once its fields are told apart, and how a format says which fields it reads."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from luthier.core.rows import Message, Rating
from luthier.data.reasons import Dropped

Fields = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Content:
    """A conversation, or plain text where `messages` is empty; the other fields are those of a row.

    `groups` are (name, value) of what keeps rows together that the format itself knows, such as `customer_id`.
    """

    messages: tuple[Message, ...] = ()
    text: str = ""
    tools: tuple[Mapping[str, object], ...] = ()
    label: str | None = None
    rejected: tuple[Message, ...] = ()
    rating: Rating | None = None
    flags: tuple[str, ...] = ()
    groups: tuple[tuple[str, str], ...] = ()


Parsed = Content | Dropped


@dataclass(frozen=True, slots=True)
class Format:
    """How rows of one layout are read. `required` and `optional` are the names `read` knows, each with its aliases.

    `recognises` tells of a record, its fields under those names, whether it is of this format; without it, names and
    sampled values tell.
    """

    read: Callable[[Fields], Parsed]
    required: Mapping[str, tuple[str, ...]]
    optional: Mapping[str, tuple[str, ...]]
    recognises: Callable[[Fields], bool] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.required, *self.optional)


def text_of(value: object) -> str:
    """A field as text without space around it; nothing for null, JSON for lists and objects."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    return json.dumps(value, ensure_ascii=False)


def parsed_list(value: object) -> object:
    """A list that a CSV holds as JSON text; anything else as it is."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def objects_in(value: object) -> list[Fields]:
    """The objects of a list, which may stand as JSON text; none for anything else."""
    found = parsed_list(value)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
