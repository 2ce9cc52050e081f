"""What anything that generates text looks like from above: evaluation, chat and serving know no more than this."""

from collections.abc import Generator as Events
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, Protocol

from luthier.core.errors import LuthierError
from luthier.core.rows import Message

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Grammar:
    """What an answer must match: a JSON schema, as JSON, or a regular expression (without look-around)."""

    kind: Literal["json_schema", "regex"]
    text: str


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One conversation to answer.

    `model` is an id out of `Generator.models`. Temperature 0 takes the likeliest token; above it tokens are drawn by
    `seed`, from those that `top_k` (0: all), `top_p` and `min_p` leave. `logit_bias` is added to the logits of token
    ids. `stop` are texts that end the answer and are no part of it. `logprobs` asks for log-probabilities: of each
    token and of this many of the likeliest. `n` answers are wanted. `cache_salt` keeps what is computed for one tenant
    from others. A request that takes more than `max_seconds` fails. Tokens that the `grammar` does not allow are never
    taken.
    """

    model: str
    messages: tuple[Message, ...]
    max_new_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    logprobs: int | None = None
    n: int = 1
    cache_salt: str = ""
    max_seconds: float | None = None
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token of the answer as text, its log-probability in nats, and the likeliest tokens in its place."""

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationEvent:
    """A piece of answer number `choice` to request number `index`.

    The last one of an answer carries the finish reason and the counts, or the error that ended it.
    """

    index: int
    text: str
    finish_reason: FinishReason | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    choice: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    error: LuthierError | None = None

    @property
    def is_last(self) -> bool:
        return self.finish_reason is not None or self.error is not None


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
        """Events of all requests as they come. Closing the iterator cancels the rest. Any thread may call it.

        What is wrong with one request ends that request, with an event that carries the error: ModelError for an
        unknown model, TemplateError for messages that the template refuses, RequestError for what the model or this
        machine cannot give, GenerationError for what goes wrong later.
        """
        ...


def complete(generator: Generator, requests: Sequence[GenerationRequest]) -> list[Completion]:
    """The whole answers, in the order of the requests; those to one request next to each other.

    Raises the error of the first request that fails, and cancels the rest.
    """
    texts = [[""] * request.n for request in requests]
    last: list[list[GenerationEvent | None]] = [[None] * request.n for request in requests]
    with closing(events_of(generator, requests)) as events:
        for event in events:
            if event.error is not None:
                raise event.error
            texts[event.index][event.choice] += event.text
            if event.is_last:
                last[event.index][event.choice] = event
    completions = []
    for text, end in zip(chain.from_iterable(texts), chain.from_iterable(last), strict=True):
        if end is None or end.finish_reason is None:
            raise RuntimeError("the generator ended without finishing every request")
        completions.append(Completion(text, end.finish_reason, end.prompt_tokens, end.completion_tokens))
    return completions


def events_of(generator: Generator, requests: Sequence[GenerationRequest]) -> Events[GenerationEvent, None, None]:
    """The generator's events as something that can be closed, which cancels what has not ended."""
    yield from generator.stream(requests)
