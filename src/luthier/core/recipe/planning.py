"""`planning`: what the figures of a plan are made from."""

from typing import Annotated

from pydantic import Field

from luthier.core.recipe.section import Section


class PlanningSection(Section):
    """What this machine costs you."""

    price_per_hour: Annotated[float, Field(ge=0)] = Field(0.0, description="in your currency")
