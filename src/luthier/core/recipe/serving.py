"""`serving`: where the API listens, its limits, and the weights that answer."""

from typing import Annotated, Literal

from pydantic import Field

from luthier.core.recipe.section import Positive, Section

Quantization = Literal["int8", "int4"]


class ServingSection(Section):
    """Where the API listens and what one request may take."""

    host: str = Field("127.0.0.1", description="an address of this machine: 127.0.0.1, ::1 or localhost")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="0 takes a free port")
    max_new_tokens: Positive = Field(512, description="upper limit for one answer")
    queue: Positive = Field(32, description="requests that may wait; more are answered 429")
    max_seconds: Annotated[float, Field(gt=0)] = Field(
        300.0, description="for one answer, from when it is begun; longer ones fail with 504"
    )
    quantization: Quantization | None = Field(
        None,
        description="weights that answer, in chat, serve and evaluate: int8 reads a byte for each, int4 five bits, "
        "at some cost in quality; null answers with those of model.dtype",
    )
