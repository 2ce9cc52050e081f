"""What all sections of the recipe have in common."""

import typing
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
ENGINE = r"^(local|ray|ray://[^/\s]+:\d+)$"
"""Where work is done: here, on a Ray that is started here, or on a cluster."""


def refuse_truth(value: object) -> object:
    """The value of a number's field. Raises ValueError for true and false."""
    if isinstance(value, bool):
        raise ValueError(f"must be a number, not {str(value).lower()}")
    return value


class Section(BaseModel):
    """Fields that belong together: one that is not known is an error, and none changes once it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        """Python counts with True and False as with 1 and 0, and pydantic takes them for numbers too."""
        if isinstance(value, bool) and info.field_name:
            kinds = set(_kinds(cls.model_fields[info.field_name].annotation))
            if bool not in kinds and not kinds.isdisjoint((int, float)):
                return refuse_truth(value)
        return value


def _kinds(annotation: object) -> Iterator[object]:
    """The types that an annotation such as `Positive | None` is made of."""
    inner = typing.get_args(annotation)
    yield from (kind for part in inner for kind in _kinds(part)) if inner else (annotation,)


def refuse_set(section: Section, fields: Iterable[str], owner: str, prefix: str = "") -> None:
    """Raise ValueError where one of these fields, which belong to something else, is not what it is by default."""
    for name in fields:
        if getattr(section, name) != type(section).model_fields[name].default:
            raise ValueError(f"{prefix}{name} is for {owner}")
