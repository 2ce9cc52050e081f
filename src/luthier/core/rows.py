"""The small records that flow through data preparation and training."""

from dataclasses import dataclass, field
from typing import Literal, TypedDict

Role = Literal["system", "user", "assistant", "tool"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Message(TypedDict):
    """One turn, in the shape that chat templates and chat APIs take."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a record came from: the file as the recipe names it, and its row, counting from 1."""

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Row:
    """One training example: a conversation, or plain text where `messages` is empty.

    `groups` are keys such as `conversation_id=17`; rows that share one never straddle splits.
    """

    id: str
    origin: Origin
    messages: tuple[Message, ...] = ()
    text: str = ""
    groups: tuple[str, ...] = ()

    def plain(self) -> str:
        """All that was said, a line a turn, without roles."""
        return "\n".join(message["content"] for message in self.messages) if self.messages else self.text


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
