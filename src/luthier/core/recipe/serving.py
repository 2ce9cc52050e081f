"""`serving`: where the API listens, and its limits."""

from typing import Annotated

from pydantic import Field

from luthier.core.recipe.section import Positive, Section


class ServingSection(Section):
    """Where the API listens and what one request may take."""

    host: str = Field("127.0.0.1", description="an address of this machine: 127.0.0.1, ::1 or localhost")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(8000, description="0 takes a free port")
    max_new_tokens: Positive = Field(512, description="upper limit for one answer")
    queue: Positive = Field(32, description="requests that may wait; more are answered 429")
    max_seconds: Annotated[float, Field(gt=0)] = Field(
        300.0, description="for one answer, from when it is begun; longer ones fail with 504"
    )
