"""The small records that flow through data preparation and training."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NotRequired, TypedDict

Role = Literal["system", "user", "assistant", "tool"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Rating = Literal["up", "down"]


class FunctionCall(TypedDict):
    """A function and its arguments by name."""

    name: str
    arguments: Mapping[str, object]


class ToolCall(TypedDict):
    """What an assistant turn asks to have called, in the shape that chat templates take."""

    type: Literal["function"]
    function: FunctionCall


class Message(TypedDict):
    """One turn, in the shape that chat templates and chat APIs take.

    Of a `tool` turn, `content` is what the tool answered and `name`, where it is known, which tool that was.
    """

    role: Role
    content: str
    tool_calls: NotRequired[list[ToolCall]]
    name: NotRequired[str]


def reworded(message: Message, content: str) -> Message:
    """The same turn with other words; its tool calls and its name stay."""
    if content == message["content"]:
        return message
    other = message.copy()
    other["content"] = content
    return other


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a record came from: the file as the recipe names it, and its row, counting from 1."""

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Row:
    """One training example: a conversation, or plain text where `messages` is empty.

    `groups` are keys such as `conversation_id=17`; rows that share one never straddle splits. `tools` are the JSON
    schemas of the functions that the assistant may call. `label` is the class of a text or conversation. Of a
    preference pair, `messages` ends with the answer that people chose and `rejected` holds what they did not want in
    place of that last turn; `rating` is what people thought of the last answer of a conversation without such a pair.
    `flags` are remarks on a row that is kept, written like reasons: `kind: detail`.
    """

    id: str
    origin: Origin
    messages: tuple[Message, ...] = ()
    text: str = ""
    groups: tuple[str, ...] = ()
    tools: tuple[Mapping[str, object], ...] = ()
    label: str | None = None
    rejected: tuple[Message, ...] = ()
    rating: Rating | None = None
    flags: tuple[str, ...] = ()

    def plain(self) -> str:
        """All that was said, a line a turn, without roles."""
        return "\n".join(message["content"] for message in self.messages) if self.messages else self.text

    def with_rejected(self) -> "Row":
        """Of a preference pair, the conversation with the answer that people did not want, as a row of its own."""
        return replace(self, id=f"{self.id}/rejected", messages=(*self.messages[:-1], *self.rejected), rejected=())


def changed(row: Row, **fields: Any) -> Row:
    """The row with other values in these fields; the row itself where they are those it has, as they mostly are."""
    for name, value in fields.items():
        if getattr(row, name) != value:
            return replace(row, **fields)
    return row


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A row as token ids; `targets[i]` says whether predicting `input_ids[i]` counts in the loss.

    Both have length tokens >= 1. The first token is never a target: nothing precedes it.
    """

    id: str
    input_ids: tuple[int, ...]
    targets: tuple[bool, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def target_tokens(self) -> int:
        return sum(self.targets)


@dataclass(frozen=True, slots=True)
class RowLoss:
    """Cross-entropy of one row in nats, summed over its target tokens; of these, `correct_tokens` were those that the
    model found the likeliest."""

    row_id: str
    loss_sum: float
    target_tokens: int
    correct_tokens: int


@dataclass(frozen=True, slots=True)
class LabelledTokens:
    """A text as token ids, and the number of its label among those that a classifier knows."""

    id: str
    input_ids: tuple[int, ...]
    label: int

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def target_tokens(self) -> int:
        """One: what is predicted of a text is its label."""
        return 1
