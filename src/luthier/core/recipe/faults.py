"""What is wrong with a recipe, in words for people."""

import difflib
import re
import typing
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from luthier.core.recipe.whole import Recipe

_TYPE = re.compile(r"bool|int|float|str|(literal|tuple)\[.*\]")
"""What pydantic adds to the place of a fault: one of the types that the value may have."""
_SHOULD = "Input should be "


def explained(error: ValidationError) -> str:
    """All faults of a recipe in one line, with suggestions for misspelt fields."""
    faults = _of_fields(error.errors())
    inner = {fault["loc"][:depth] for fault in faults for depth in range(len(fault["loc"]))}
    return "; ".join(
        _explain_one(fault["loc"], fault["type"], fault["msg"]) for fault in faults if fault["loc"] not in inner
    )


def _of_fields(faults: Sequence[ErrorDetails]) -> list[ErrorDetails]:
    """Where a value may be of several types, pydantic names a fault for each: told is one, of the field itself."""
    told: dict[tuple[int | str, ...], ErrorDetails] = {}
    for fault in faults:
        place = tuple(part for part in fault["loc"] if not _TYPE.fullmatch(str(part)))
        if place in told:
            also = fault["msg"].removeprefix(_SHOULD)
            fault["msg"] = told[place]["msg"] if also in told[place]["msg"] else f"{told[place]['msg']} or {also}"
        told[place] = {**fault, "loc": place}
    return list(told.values())


def _explain_one(location: tuple[int | str, ...], kind: str, message: str) -> str:
    name = ".".join(str(part) for part in location) or "recipe"
    if kind == "extra_forbidden":
        allowed = sorted(_fields_at(location[:-1]))
        close = difflib.get_close_matches(str(location[-1]), allowed, n=1)
        hint = f"did you mean {close[0]}?" if close else f"allowed: {', '.join(allowed)}"
        return f"unknown field {name}, {hint}"
    if kind == "missing":
        return f"{name} is missing"
    if kind == "model_type":
        return f"{name} is empty or a single value: it takes fields of its own"
    message = message.removeprefix("Value error, ").replace("Tuple", "List").replace("tuple", "list")
    message = message.replace(" after validation", "")
    return f"{name}: {message[:1].lower()}{message[1:]}"


def _fields_at(location: tuple[int | str, ...]) -> Iterable[str]:
    """Names of the fields that the section at this place of the recipe has."""
    section: type[BaseModel] = Recipe
    for part in location:
        if isinstance(part, int):
            continue
        section = _section_of(section.model_fields[part].annotation)
    return section.model_fields


def _section_of(annotation: object) -> type[BaseModel]:
    """The section type inside an annotation such as `tuple[SourceSection, ...]` or `RedactSection | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in typing.get_args(annotation):
        if argument is not Ellipsis and argument is not type(None):
            return _section_of(argument)
    raise TypeError(f"no section in {annotation!r}")
