"""Answers of `/v1/chat/completions`, whole and as server-sent events, as the OpenAI client expects them."""

import json
from collections.abc import AsyncIterator
from typing import Literal

from pydantic import BaseModel

from luthier.core.generation import FinishReason, GenerationEvent
from luthier.serving.api_error import ApiError
from luthier.serving.exchange import Exchange

DONE = "data: [DONE]\n\n"


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AssistantMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    index: int = 0
    message: AssistantMessage
    logprobs: None = None
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


def usage_of(last: GenerationEvent) -> Usage:
    total = last.prompt_tokens + last.completion_tokens
    return Usage(prompt_tokens=last.prompt_tokens, completion_tokens=last.completion_tokens, total_tokens=total)


async def whole_answer(exchange: Exchange) -> ChatCompletion:
    """Wait for the end of the answer. Raises ApiError when it fails or is cancelled."""
    pieces = []
    async for event in exchange.events:
        pieces.append(event.text)
    assert event.finish_reason is not None
    return ChatCompletion(
        id=exchange.id,
        created=exchange.created,
        model=exchange.model.id,
        choices=[Choice(message=AssistantMessage(content="".join(pieces)), finish_reason=event.finish_reason)],
        usage=usage_of(event),
        system_fingerprint=exchange.model.run,
    )


async def server_sent_events(exchange: Exchange, first: GenerationEvent, include_usage: bool) -> AsyncIterator[str]:
    """The answer as events: the role, pieces of text, the finish reason, the usage if wanted, `[DONE]`.

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
    yield _chunk(frame, {"role": "assistant", "content": ""})
    event = first
    try:
        while True:
            if event.text:
                yield _chunk(frame, {"content": event.text})
            if event.finish_reason is not None:
                break
            event = await anext(exchange.events)
    except ApiError as error:
        yield _event(error.body.model_dump())
        return
    yield _chunk(frame, {}, event.finish_reason)
    if include_usage:
        yield _event({**frame, "choices": [], "usage": usage_of(event).model_dump()})
    yield DONE


def _chunk(frame: dict[str, object], delta: dict[str, str], finish_reason: FinishReason | None = None) -> str:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return _event({**frame, "choices": [choice]})


def _event(data: dict[str, object]) -> str:
    return f"data: {json.dumps(data)}\n\n"
