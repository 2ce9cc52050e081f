"""What anything that generates text looks like from above: evaluation, chat and serving know no more than this."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from luthier.core.rows import Message

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One conversation to answer. `model` is an id out of `Generator.models`; temperature 0 is greedy."""

    model: str
    messages: tuple[Message, ...]
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationEvent:
    """A piece of the answer to request number `index`. The last one carries the finish reason and the counts."""

    index: int
    text: str
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int


class Generator(Protocol):
    """Our engine, a fake in tests, or another engine."""

    @property
    def models(self) -> tuple[str, ...]:
        """Ids that a request may name, the base model first."""
        ...

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        """Events of all requests as they come. Closing the iterator cancels the rest.

        Raises ModelError for an unknown model, TemplateError for messages that the template refuses.
        """
        ...


def complete(generator: Generator, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """The whole answers, in the order of the requests."""
    texts = [""] * len(requests)
    last: list[GenerationEvent | None] = [None] * len(requests)
    for event in generator.stream(requests):
        texts[event.index] += event.text
        if event.finish_reason:
            last[event.index] = event
    completions = []
    for text, end in zip(texts, last, strict=True):
        if end is None or end.finish_reason is None:
            raise RuntimeError("the generator ended without finishing every request")
        completions.append(Completion(text, end.finish_reason, end.prompt_tokens, end.completion_tokens))
    return completions
