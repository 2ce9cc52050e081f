"""What a client may ask of `/v1/chat/completions`. What is not supported is refused by name, never ignored."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from luthier.core.generation import GenerationRequest, Grammar
from luthier.core.rows import Message, Role
from luthier.serving.api_error import ApiError
from luthier.serving.limits import Limits

NEUTRAL_PARAMETERS: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "function_call": ("none", "auto"),
        "functions": ([],),
        "modalities": (["text"],),
        "parallel_tool_calls": (True, False),
        "prediction": (),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
    }
)
"""Parameters of the OpenAI API that are not supported, and the values with which they ask for nothing."""

NEUTRAL_MESSAGE_FIELDS: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {"annotations": ([],), "audio": (), "function_call": (), "name": (), "refusal": (), "tool_calls": ([],)}
)
"""The same for a message: clients send answers back as they got them, with empty fields."""


def without_neutral(fields: object, neutral: Mapping[str, tuple[object, ...]], known: Mapping[str, object]) -> object:
    """`fields` less those that are null or ask for nothing. What is not a mapping is left for validation to refuse."""
    if not isinstance(fields, dict):
        return fields
    return {
        name: value
        for name, value in fields.items()
        if not (value is None and (name in neutral or name in known))
        and not any(_same(value, nothing) for nothing in neutral.get(name, ()))
    }


def _same(value: object, other: object) -> bool:
    """Equal as JSON values, where `true` is not 1."""
    return isinstance(value, bool) == isinstance(other, bool) and value == other


MOST_CHOICES = 8
MOST_LOGPROBS = 20


class RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class RequestBody(RequestModel):
    """A whole body. Raises ApiError (400) for text that no UTF-8 can hold, which JSON can write as an escape, and for
    what is nested too deeply."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_half_characters(cls, fields: object) -> object:
        for name, value in fields.items() if isinstance(fields, dict) else ():
            try:
                json.dumps([name, value], ensure_ascii=False).encode()
            except UnicodeEncodeError as error:
                shown = name.encode(errors="backslashreplace").decode()
                raise ApiError(
                    HTTPStatus.BAD_REQUEST,
                    f"{shown} holds half of a character: an escape \\ud800 to \\udfff without its other half",
                    param=shown,
                    code="invalid_value",
                ) from error
            except RecursionError as error:
                raise ApiError(HTTPStatus.BAD_REQUEST, f"{name} is nested too deeply", param=name) from error
        return fields


class TextPart(RequestModel):
    type: Literal["text"]
    text: str


def _as_parts(content: object) -> object:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_list(stop: object) -> object:
    return [stop] if isinstance(stop, str) else stop


Content = Annotated[
    list[TextPart], Field(min_length=1), BeforeValidator(_as_parts, json_schema_input_type=str | list[TextPart])
]
Stop = Annotated[
    list[Annotated[str, Field(min_length=1)]],
    Field(max_length=4),
    BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
]


Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Bias = dict[
    Annotated[str, Field(pattern=r"^\d{1,9}$", description="a token's id")],
    Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)],
]


class ChatMessage(RequestModel):
    """One turn. `developer` is OpenAI's newer word for system. `tool_call_id` only links; templates do not show it."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Content
    tool_call_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _drop_neutral(cls, fields: object) -> object:
        return without_neutral(fields, NEUTRAL_MESSAGE_FIELDS, cls.model_fields)

    @model_validator(mode="after")
    def _only_tools_answer_calls(self) -> "ChatMessage":
        if self.tool_call_id is not None and self.role != "tool":
            raise ValueError("tool_call_id belongs to messages of the role tool")
        return self

    def message(self) -> Message:
        role: Role = "system" if self.role == "developer" else self.role
        return {"role": role, "content": "\n".join(part.text for part in self.content)}


class JsonSchema(RequestModel):
    """A schema by OpenAI's shape. It is always kept to, whatever `strict` says."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    schema_: Annotated[dict[str, object], Field(alias="schema")]
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(RequestModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _schema_by_type(self) -> "ResponseFormat":
        if (self.json_schema is not None) != (self.type == "json_schema"):
            raise ValueError("json_schema and the type json_schema belong together")
        return self

    def grammar(self) -> Grammar | None:
        if self.type == "text":
            return None
        schema = self.json_schema.schema_ if self.json_schema else {"type": "object"}
        return Grammar("json_schema", json.dumps(schema))


class StreamOptions(RequestModel):
    include_usage: bool = False


class ChatRequest(RequestBody):
    """The body of `/v1/chat/completions`.

    Sampling is greedy unless asked otherwise, as it was when the model was evaluated. `user` and `metadata` are the
    client's own labels and do not change the answer.
    """

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop = []
    presence_penalty: Penalty = 0.0
    frequency_penalty: Penalty = 0.0
    logit_bias: Bias = {}
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] = 0
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] = 1
    response_format: ResponseFormat | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    user: Annotated[str, Field(max_length=512)] | None = None
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
        ]
        | None
    ) = None

    @model_validator(mode="before")
    @classmethod
    def _drop_neutral(cls, fields: object) -> object:
        return without_neutral(fields, NEUTRAL_PARAMETERS, cls.model_fields)

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


def conversation(request: ChatRequest, system: str) -> tuple[Message, ...]:
    """The client's messages, behind the recipe's system prompt where the client has none of its own."""
    messages = tuple(message.message() for message in request.messages)
    if not system or any(message["role"] == "system" for message in messages):
        return messages
    return ({"role": "system", "content": system}, *messages)


def generation_request(request: ChatRequest, generator_model: str, system: str, limits: Limits) -> GenerationRequest:
    """What the generator is asked. Raises ApiError (400) for parameters that contradict each other or the limit."""
    if request.stream_options is not None and not request.stream:
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "stream_options is only allowed with stream: true",
            param="stream_options",
            code="invalid_value",
        )
    if request.top_logprobs and not request.logprobs:
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "top_logprobs is only allowed with logprobs: true",
            param="top_logprobs",
            code="invalid_value",
        )
    return GenerationRequest(
        model=generator_model,
        messages=conversation(request, system),
        max_new_tokens=_answer_length(request, limits.max_new_tokens),
        max_seconds=limits.max_seconds,
        temperature=request.temperature,
        top_p=request.top_p,
        seed=request.seed,
        stop=tuple(request.stop),
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        logit_bias={int(token): bias for token, bias in request.logit_bias.items()},
        logprobs=request.top_logprobs if request.logprobs else None,
        n=request.n,
        grammar=request.response_format.grammar() if request.response_format else None,
    )


def _answer_length(request: ChatRequest, limit: int) -> int:
    """Tokens that the answer may have: what the client asks for, under either name, or else the limit."""
    asked = {
        name: value
        for name, value in (
            ("max_completion_tokens", request.max_completion_tokens),
            ("max_tokens", request.max_tokens),
        )
        if value is not None
    }
    if len(set(asked.values())) > 1:
        raise ApiError(
            HTTPStatus.BAD_REQUEST,
            "max_tokens and max_completion_tokens mean the same and differ; send one of them",
            param="max_tokens",
            code="invalid_value",
        )
    for name, value in asked.items():
        if value > limit:
            raise ApiError(
                HTTPStatus.BAD_REQUEST,
                f"{name} is {value}, above this server's limit of {limit}",
                param=name,
                code="invalid_value",
            )
        return value
    return limit
