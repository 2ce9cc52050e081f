"""`data.clean`: what leaves a row out, and what is mended in it."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from luthier.core.recipe.section import Positive, Section

PersonalKind = Literal["email", "phone", "iban", "card", "national_id", "ip", "address", "account", "order"]


class RedactSection(Section):
    """What happens to personal data."""

    mode: Literal["mask", "pseudonym", "drop"] = Field(
        "mask", description="write the kind in its place, as [EMAIL]; a made-up value; or drop the row"
    )
    kinds: tuple[PersonalKind, ...] = Field(
        ("email", "phone", "iban", "card", "national_id", "ip", "address", "account"), description="what to look for"
    )
    names: bool | tuple[str, ...] = Field(
        False, description="true: also names that a greeting, title or signature gives away; a list: these too"
    )
    keep: tuple[str, ...] = Field((), description="the company's own addresses, numbers and names, left as they are")
    region: str = Field("GB", description="country for phone numbers without a country code (ISO 3166, such as GB)")


class CleanSection(Section):
    """What leaves a row out, and what is mended in it."""

    min_words: Annotated[int, Field(ge=0)] = Field(
        4, description="rows with fewer words are dropped, the system prompt not counted"
    )
    max_words: Positive | None = Field(None, description="rows with more words are dropped; null leaves it to tokens")
    repetition: bool = Field(
        False,
        description="whether turns and texts of 75 words and more that break Gopher's repetition rules are dropped",
    )
    garbled: bool = Field(
        True, description="whether rows are dropped that hold wrongly decoded, hammered or encoded text, or bare markup"
    )
    toxicity: Literal["flag", "drop"] | None = Field(
        "flag",
        description="what becomes of rows with insults, slurs, threats, sexual remarks or generalisations over groups",
    )
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.8, description="Jaccard likeness of word 5-grams from which a row is dropped; null keeps all, exact ones too"
    )
    semantic_duplicates: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None,
        description="cosine of the vectors of data.encoder from which rows say the same, e.g. 0.95; null keeps all",
    )
    label_noise: Literal["flag", "drop"] | None = Field(
        None, description="what becomes of rows whose label is likely wrong, by the vectors of data.encoder"
    )
    boilerplate: Literal["flag", "remove"] | tuple[str, ...] | None = Field(
        None,
        description="what becomes of sentences that agents begin or end their turns with whatever they are asked: flag "
        "or remove all that are found, or a list of those to remove; null only reports them",
    )
    uneven_treatment: bool = Field(
        False,
        description="true: flag rows whose answers differ where what customers asked differs in a name or gender only",
    )
    languages: tuple[str, ...] = Field((), description="ISO 639-1 codes to keep; empty keeps every language")
    redact: RedactSection | None = Field(RedactSection(), description="null leaves personal data in place")

    @model_validator(mode="after")
    def _some_length_is_right(self) -> "CleanSection":
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError("max_words must not be below min_words")
        return self
