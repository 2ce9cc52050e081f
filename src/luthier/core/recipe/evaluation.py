"""`evaluation`: what is measured after training, and what a release asks for."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from luthier.core.recipe.section import Positive, Section


class GatesSection(Section):
    """What a run must reach before it may be released. A gate set to null does not count."""

    loss: Literal["no_worse"] | None = Field(
        "no_worse", description="test loss against the released run, or the base model before any release"
    )
    facts: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of golden questions with every fact recalled, at least"
    )
    unsupported_facts: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="share of answers to golden questions with a fact that nothing supports, at most"
    )
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="classification: share of test rows that are given their label, at least; preference: share of "
        "test pairs whose chosen answer is likelier per token",
    )
    forgetting: Annotated[float, Field(ge=0)] | None = Field(
        None, description="rise of the loss on general text from that of the base model, nats per token, at most"
    )
    latency: Annotated[float, Field(gt=0)] | None = Field(
        None, description="mean seconds for one answer, asked alone on this machine, at most"
    )


class JudgeSection(Section):
    """A model that compares answers beside people, behind an OpenAI-compatible URL."""

    url: str = Field(description="of the API, up to and without /chat/completions")
    model: str = Field(description="what the API calls the judge")
    key_env: str | None = Field(None, description="environment variable that holds the API's key")
    timeout: Annotated[float, Field(gt=0)] = Field(30.0, description="seconds to wait for one reply")


class EvaluationSection(Section):
    """What is measured after training."""

    questions: str | None = Field(
        None, description='JSONL of {"question": ..., "facts": [...]}, relative to the workspace'
    )
    max_new_tokens: Positive = Field(96, description="upper limit for one answer")
    gates: GatesSection = GatesSection()
    judge: JudgeSection | None = None

    @model_validator(mode="after")
    def _answers_need_questions(self) -> "EvaluationSection":
        for gate in ("facts", "unsupported_facts", "latency"):
            if getattr(self.gates, gate) is not None and self.questions is None:
                raise ValueError(f"gates.{gate} needs evaluation.questions")
        return self
