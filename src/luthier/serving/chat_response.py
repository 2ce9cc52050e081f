"""Answers of `/v1/chat/completions`, whole and as server-sent events, as the OpenAI client expects them."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from pydantic import BaseModel

from luthier.core.generation import FinishReason, GenerationEvent, TokenLogprob
from luthier.serving.api_error import ApiError
from luthier.serving.exchange import Exchange

DONE = "data: [DONE]\n\n"
PART_OF_A_CHARACTER = "\ufffd"


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class TopLogprob(BaseModel):
    """A token as text, its log-probability in nats, and its bytes where it is whole characters."""

    token: str
    logprob: float
    bytes: list[int] | None


class ContentLogprob(TopLogprob):
    top_logprobs: list[TopLogprob]


class Logprobs(BaseModel):
    content: list[ContentLogprob]
    refusal: None = None


class Choice(BaseModel):
    index: int
    message: AssistantMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason


class ChatCompletion(BaseModel):
    """A whole answer. `system_fingerprint` is the run that answered."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str


def usage_of(last: Sequence[GenerationEvent]) -> Usage:
    """The prompt counts once, however many answers it has; `last` are the last events of all of them."""
    prompt, completion = last[0].prompt_tokens, sum(event.completion_tokens for event in last)
    return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


async def whole_answer(exchange: Exchange) -> ChatCompletion:
    """Wait for the end of all answers. Raises ApiError when the request fails or is cancelled."""
    events = [event async for event in exchange.events]
    last = sorted((event for event in events if event.finish_reason), key=lambda event: event.choice)
    return ChatCompletion(
        id=exchange.id,
        created=exchange.created,
        model=exchange.model.id,
        choices=[_choice([event for event in events if event.choice == end.choice]) for end in last],
        usage=usage_of(last),
        system_fingerprint=exchange.model.run,
    )


def _choice(events: Sequence[GenerationEvent]) -> Choice:
    """One answer out of its events."""
    end = events[-1]
    assert end.finish_reason is not None
    text = "".join(event.text for event in events)
    logprobs = _logprobs([logprob for event in events for logprob in event.logprobs])
    message = AssistantMessage(content=text)
    return Choice(index=end.choice, message=message, logprobs=logprobs, finish_reason=end.finish_reason)


async def server_sent_events(exchange: Exchange, first: GenerationEvent, include_usage: bool) -> AsyncIterator[str]:
    """The answers as events: for each the role, pieces of text, the finish reason; the usage if wanted, `[DONE]`.

    `first` is taken off `exchange.events` already, so that a request which fails at once gets a status of its own.
    A failure after it is an event `{"error": …}`, and nothing follows it.
    """
    # With include_usage OpenAI puts the field into every chunk, null in all but the last.
    frame: dict[str, object] = {
        "id": exchange.id,
        "object": "chat.completion.chunk",
        "created": exchange.created,
        "model": exchange.model.id,
        "system_fingerprint": exchange.model.run,
        **({"usage": None} if include_usage else {}),
    }
    last: list[GenerationEvent] = []
    begun: set[int] = set()
    try:
        async for event in _chained(first, exchange.events):
            if event.choice not in begun:
                begun.add(event.choice)
                yield _chunk(frame, event.choice, {"role": "assistant", "content": ""})
            if event.text or event.logprobs:
                yield _chunk(frame, event.choice, {"content": event.text}, logprobs=event.logprobs)
            if event.finish_reason is not None:
                last.append(event)
                yield _chunk(frame, event.choice, {}, event.finish_reason)
    except ApiError as error:
        yield _event(error.body.model_dump())
        return
    if include_usage:
        yield _event({**frame, "choices": [], "usage": usage_of(last).model_dump()})
    yield DONE


async def _chained(first: GenerationEvent, rest: AsyncIterator[GenerationEvent]) -> AsyncIterator[GenerationEvent]:
    yield first
    async for event in rest:
        yield event


def _logprobs(found: Sequence[TokenLogprob]) -> Logprobs | None:
    if not found:
        return None
    return Logprobs(
        content=[
            ContentLogprob(
                token=each.text,
                logprob=each.logprob,
                bytes=_bytes(each.text),
                top_logprobs=[TopLogprob(token=t, logprob=value, bytes=_bytes(t)) for t, value in each.top],
            )
            for each in found
        ]
    )


def _bytes(token: str) -> list[int] | None:
    """None for a token that is a part of a character."""
    return None if PART_OF_A_CHARACTER in token else list(token.encode())


def _chunk(
    frame: dict[str, object],
    index: int,
    delta: dict[str, str],
    finish_reason: FinishReason | None = None,
    logprobs: Sequence[TokenLogprob] = (),
) -> str:
    shown = found.model_dump() if (found := _logprobs(logprobs)) else None
    choice = {"index": index, "delta": delta, "logprobs": shown, "finish_reason": finish_reason}
    return _event({**frame, "choices": [choice]})


def _event(data: dict[str, object]) -> str:
    return f"data: {json.dumps(data)}\n\n"
