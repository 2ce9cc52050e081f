"""`planning`: what the figures of a plan are made from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from luthier.core.recipe.section import Positive, Section


class AssumeSection(Section):
    """Rows to plan for while there are none."""

    rows: Positive = Field(1000, le=10**12, description="training rows")
    tokens_per_row: Positive = Field(300, le=10**9, description="on average")
    target_tokens_per_row: Positive = Field(100, description="of these, how many are learnt to be said")

    @model_validator(mode="after")
    def _targets_are_tokens(self) -> Self:
        if self.target_tokens_per_row > self.tokens_per_row:
            raise ValueError(f"target_tokens_per_row are some of the {self.tokens_per_row} tokens_per_row")
        return self


class PlanningSection(Section):
    """What `luthier plan` reckons with."""

    price_per_hour: Annotated[float, Field(ge=0)] = Field(0.0, description="of this machine, in your currency")
    prices: str = Field(
        "prices.yaml",
        description="file with what machines, power and people cost; the first plan writes it, for you to correct",
    )
    learning_curve: Literal["quarter", "half"] | None = Field(
        None,
        description="train on 1/16, 1/8 and 1/4 of the rows (half: on 1/2 too) and forecast what more data would "
        "bring; takes half as long as the training itself, or as long (half)",
    )
    assume: AssumeSection | None = Field(
        None, description="rows to plan for instead of a dataset; with them a folder with a config.json is model enough"
    )
