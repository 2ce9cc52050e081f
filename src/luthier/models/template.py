"""The model's own chat template: prompts for generation, and training rows with their loss mask.

The mask is derived by rendering: what the template adds to a conversation when an assistant turn follows is that turn.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from jinja2.exceptions import TemplateError as JinjaError
from transformers import PreTrainedTokenizerBase

from luthier.core.errors import TemplateError
from luthier.core.rows import Message, Origin, Role, Row, TokenRow
from luthier.models.tool_text import with_tools_as_text

PROBE: tuple[Message, ...] = (
    {"role": "user", "content": "probing question"},
    {"role": "assistant", "content": "probing reply"},
    {"role": "user", "content": "probing question"},
)
EMPTY_SYSTEM: Message = {"role": "system", "content": ""}
PROBE_TOOL: Mapping[str, object] = {
    "type": "function",
    "function": {
        "name": "probing_tool",
        "description": "probing description",
        "parameters": {"type": "object", "properties": {"probing_field": {"type": "string", "description": "any"}}},
    },
}
PROBE_CALL: tuple[Message, ...] = (
    {"role": "user", "content": "probing question"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "a_call", "arguments": {"an_argument": "its_value"}}}],
    },
    {"role": "tool", "content": "probing result", "name": "a_call"},
    {"role": "assistant", "content": "probing reply"},
)
Tools = Sequence[Mapping[str, object]]


class ChatTemplate:
    """Renders conversations with the tokenizer's template, in jinja's immutable sandbox.

    Raises TemplateError at once when there is no template, or when it cannot be masked: a turn rendered at the end
    of a conversation must be the same tokens when more turns follow, and must end in a special token.
    `control_tokens` are the special tokens by id, which no text may hold.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str = "chat template") -> None:
        self._tokenizer, self._name = tokenizer, name
        if not tokenizer.chat_template:
            raise TemplateError("the tokenizer has no chat template", where=name, allowed="an instruction-tuned model")
        self.control_tokens = control_tokens(tokenizer)
        self.renders_tools = True
        self._slips_in_system_prompt = self._has_default_system_prompt()
        self._empty_system_helps = self._slips_in_system_prompt and self._empty_system_replaces_default()
        system = (EMPTY_SYSTEM,) if self._slips_in_system_prompt else ()
        probe = self.encode(Row("probe", Origin("probe", 1), (*system, *PROBE)))
        self.end_token_id = [token for token, target in zip(probe.input_ids, probe.targets, strict=True) if target][-1]
        self.renders_tools = self._has_words_for_tools()
        self._added_bytes: dict[tuple[Role, ...], int] = {}

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False, tools: Tools = ()) -> str:
        """The conversation as the model reads it, with no system prompt but the one in `messages`.

        A template that has no words for tools gets them as text, see `tool_text`.
        """
        for message in messages:
            self._refuse_control_tokens(message["content"], f"a {message['role']} turn")
            if "tool_calls" in message:
                self._refuse_control_tokens(json.dumps(message["tool_calls"], ensure_ascii=False), "a tool call")
        if tools:
            self._refuse_control_tokens(json.dumps(list(tools), ensure_ascii=False), "a tool")
        if not self.renders_tools and (tools or any("tool_calls" in m or m["role"] == "tool" for m in messages)):
            messages, tools = with_tools_as_text(messages, tools), ()
        return self._render(self._without_default_system_prompt(messages), add_generation_prompt, tools)

    def prompt_ids(self, messages: Sequence[Message], tools: Tools = ()) -> list[int]:
        """Token ids after which the model writes the next assistant turn."""
        return self._ids(self.render(messages, add_generation_prompt=True, tools=tools))

    def encode(self, row: Row, first_target: int = 0) -> TokenRow:
        """A training row: assistant tokens and their end tokens are targets, from the turn numbered `first_target` on;
        plain text is all target.

        Tool calls are assistant tokens; what the tools answer is no target.
        Each assistant turn follows exactly the tokens that `prompt_ids` gives for the turns before it.
        Raises TemplateError when a turn cannot be told from the rest.
        """
        if not row.messages:
            return self._encode_text(row)
        ids = self._ids(self.render(row.messages, tools=row.tools))
        targets = [False] * len(ids)
        for index, message in enumerate(row.messages):
            if message["role"] == "assistant" and index >= first_target:
                start, end = self._assistant_span(row.messages[: index + 1], row.tools, ids)
                targets[start:end] = [True] * (end - start)
        return TokenRow(row.id, tuple(ids), tuple(targets))

    def tokens_over(self, row: Row, limit: int) -> int | None:
        """How many tokens `encode` gives if they are more than `limit`; None where the row fits. Of a preference pair,
        those of the longer conversation.

        Raises TemplateError as `encode` does for a row that fits; of one that does not, only that it can be rendered is
        known. A row whose text has fewer than half as many bytes as tokens are allowed is not counted: a token stands
        for one byte or more, and templates do not say things thrice.
        """
        if row.rejected:
            counts = [self.tokens_over(each, limit) for each in (replace(row, rejected=()), row.with_rejected())]
            return max((count for count in counts if count is not None), default=None)
        letters = sum(len(message["content"]) for message in row.messages)
        if row.messages and not row.tools and 2 * letters <= limit and 2 * self._bytes(row.messages) <= limit:
            return None
        if row.messages:  # `encode` reads the conversation anew for each answer in it
            count = len(self._ids(self.render(row.messages, tools=row.tools)))
            if count > limit:
                return count
        count = len(self.encode(row))
        return count if count > limit else None

    def _bytes(self, messages: Sequence[Message]) -> int:
        """Bytes of a conversation as text, what the template adds included; a conversation that the template refuses
        for its turns or control tokens raises TemplateError."""
        roles = tuple(message["role"] for message in messages)
        if roles not in self._added_bytes or any("tool_calls" in message for message in messages):
            contents = sum(len(message["content"].encode()) for message in messages)
            self.encode(Row("", Origin("", 1), tuple(messages)))
            self._added_bytes[roles] = len(self.render(messages).encode()) - contents
        total = self._added_bytes[roles]
        for message in messages:
            self._refuse_control_tokens(message["content"], f"a {message['role']} turn")
            total += len(message["content"].encode())
        return total

    def _encode_text(self, row: Row) -> TokenRow:
        """Text between the tokens that the tokenizer itself puts at its start, if any, and the end token."""
        self._refuse_control_tokens(row.text, "a text")
        return ended_text(row.id, text_ids(self._tokenizer, row.text), self._end_of_text_id())

    def _assistant_span(self, messages: Sequence[Message], tools: Tools, ids: list[int]) -> tuple[int, int]:
        """Where in `ids` the last of `messages` lies: from its first token to its last special token, which ends it.

        `ids` are the tokens of a conversation that begins with `messages`.
        """
        before = self.prompt_ids(messages[:-1], tools)
        after = self._ids(self.render(messages, tools=tools))
        start = len(before)
        if after[:start] != before:
            raise TemplateError(
                "an assistant turn does not follow the tokens of its prompt, so that training would differ from "
                "generation",
                where=self._name,
            )
        ends = [place for place in range(start, len(after)) if after[place] in self.control_tokens]
        if not ends:
            raise TemplateError("an assistant turn has no end token: the model would never stop", where=self._name)
        end = ends[-1] + 1
        if ids[:end] != after[:end]:
            raise TemplateError(
                "the template renders an assistant turn differently when more turns follow, "
                "so that its loss mask cannot be derived",
                where=self._name,
            )
        return start, end

    def _refuse_control_tokens(self, text: str, what: str) -> None:
        refuse_control_tokens(self.control_tokens, text, what, self._name)

    def _has_words_for_tools(self) -> bool:
        """Whether the template shows tools, calls and results, in a way that can be masked."""
        try:
            with_tools = self.render(PROBE, tools=(PROBE_TOOL,))
            with_call = self.render(PROBE_CALL)
            self.encode(Row("probe", Origin("probe", 1), PROBE_CALL, tools=(PROBE_TOOL,)))
        except TemplateError:
            return False
        shown = all(text in with_tools for text in ("probing_tool", "probing_field"))
        return shown and all(text in with_call for text in ("a_call", "an_argument", "its_value", "probing result"))

    def _has_default_system_prompt(self) -> bool:
        """Whether a conversation opens with more than what also comes before a later user turn."""
        question, reply = PROBE[0]["content"], PROBE[1]["content"]
        opening, _, rest = self._render(PROBE, False).partition(question)
        before_later_turn = rest.partition(reply)[2].partition(question)[0]
        while leading := [token for token in self.control_tokens.values() if opening.startswith(token)]:
            opening = opening.removeprefix(max(leading, key=len))
        return not before_later_turn.endswith(opening)

    def _empty_system_replaces_default(self) -> bool:
        try:
            return len(self._render((EMPTY_SYSTEM, *PROBE), False)) < len(self._render(PROBE, False))
        except TemplateError:
            return False

    def _without_default_system_prompt(self, messages: Sequence[Message]) -> Sequence[Message]:
        if not self._slips_in_system_prompt or (messages and messages[0]["role"] == "system"):
            return messages
        if self._empty_system_helps:
            return (EMPTY_SYSTEM, *messages)
        raise TemplateError(
            "the template adds a system prompt of its own to a conversation without one",
            where=self._name,
            allowed="set data.system",
        )

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool, tools: Tools = ()) -> str:
        try:
            turns: list[Any] = [dict(message) for message in messages]
            text = self._tokenizer.apply_chat_template(
                turns,
                tools=[dict(tool) for tool in tools] or None,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
            )
        except (JinjaError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise TemplateError(f"the template refuses this conversation: {error}", where=self._name) from error
        assert isinstance(text, str)
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _end_of_text_id(self) -> int:
        token = self._tokenizer.eos_token_id
        return int(token) if token is not None else self.end_token_id


def control_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[int, str]:
    """Special tokens by id, those included that the tokenizer has no name such as `eos_token` for."""
    named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    return named | {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def refuse_control_tokens(tokens: Mapping[int, str], text: str, what: str, name: str) -> None:
    """Raise TemplateError for a text, named `what`, that holds a token which only the template may write, or that no
    tokenizer reads because it is no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise TemplateError(f"{what} holds half of a character, U+{half:04X}", where=name) from error
    for token in tokens.values():
        if token in text:
            raise TemplateError(f"{what} holds the control token {token}", where=name)


def ended_text(row_id: str, ids: list[int], end: int) -> TokenRow:
    """A text that a model is to write, with the end token: all but its first token are targets."""
    tokens = ids if ids[-1:] == [end] else [*ids, end]
    return TokenRow(row_id, tuple(tokens), (False, *[True] * (len(tokens) - 1)))


def text_ids(tokenizer: Any, text: str) -> list[int]:
    """The whole text as tokens with those that the tokenizer puts around it, whatever its file says about lengths."""
    ids: list[int] = tokenizer(text, padding=False, truncation=False, verbose=False)["input_ids"]
    return list(ids)
