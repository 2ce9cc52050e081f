"""What all sections of the recipe have in common."""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
ENGINE = r"^(local|ray|ray://[^/\s]+:\d+)$"
"""Where work is done: here, on a Ray that is started here, or on a cluster."""


class Section(BaseModel):
    """Fields that belong together: one that is not known is an error, and none changes once it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


def refuse_set(section: Section, fields: Iterable[str], owner: str, prefix: str = "") -> None:
    """Raise ValueError where one of these fields, which belong to something else, is not what it is by default."""
    for name in fields:
        if getattr(section, name) != type(section).model_fields[name].default:
            raise ValueError(f"{prefix}{name} is for {owner}")
