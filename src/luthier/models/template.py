"""The model's own chat template: prompts for generation, and training rows with their loss mask.

The mask is derived by rendering: what the template adds to a conversation when an assistant turn follows is that turn.
"""

from collections.abc import Sequence
from typing import Any

from jinja2.exceptions import TemplateError as JinjaError
from transformers import PreTrainedTokenizerBase

from luthier.core.errors import TemplateError
from luthier.core.rows import Message, Origin, Row, TokenRow

PROBE: tuple[Message, ...] = ({"role": "user", "content": "a question"},)
PROBE_ROW = Row("probe", Origin("probe", 1), (*PROBE, {"role": "assistant", "content": "an answer"}, *PROBE))


class ChatTemplate:
    """Renders conversations with the tokenizer's template, in jinja's immutable sandbox.

    Raises TemplateError at once when there is no template, or when it cannot be masked: a turn rendered at the end
    of a conversation must be the same text when more turns follow, and must end in a special token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, name: str = "chat template") -> None:
        self._tokenizer, self._name = tokenizer, name
        if not tokenizer.chat_template:
            raise TemplateError("the tokenizer has no chat template", where=name, allowed="an instruction-tuned model")
        self._special_tokens = tuple(token for token in tokenizer.all_special_tokens if token)
        self._special_ids = frozenset(tokenizer.all_special_ids)
        self._slips_in_system_prompt = self._has_default_system_prompt()
        probe = self.encode(PROBE_ROW)
        self.end_token_id = [token for token, target in zip(probe.input_ids, probe.targets, strict=True) if target][-1]

    def render(self, messages: Sequence[Message], add_generation_prompt: bool = False) -> str:
        """The conversation as the model reads it, with no system prompt but the one in `messages`."""
        for message in messages:
            for token in self._special_tokens:
                if token in message["content"]:
                    raise TemplateError(f"a {message['role']} turn holds the control token {token}", where=self._name)
        return self._render(self._without_default_system_prompt(messages), add_generation_prompt)

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """Token ids after which the model writes the next assistant turn."""
        return self._ids(self.render(messages, add_generation_prompt=True))

    def encode(self, row: Row) -> TokenRow:
        """A training row: assistant tokens and their end tokens are targets; plain text is all target.

        Raises TemplateError when a turn cannot be told from the rest.
        """
        if not row.messages:
            return self._encode_text(row)
        text = self.render(row.messages)
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids: list[int] = encoded["input_ids"]
        offsets: list[tuple[int, int]] = encoded["offset_mapping"]
        targets = [False] * len(ids)
        for start, end in self._assistant_spans(row.messages, text):
            self._mark_targets(targets, ids, offsets, (start, end))
        return TokenRow(row.id, tuple(ids), tuple(targets))

    def _encode_text(self, row: Row) -> TokenRow:
        ids = [*self._ids(row.text), self._end_of_text_id()]
        return TokenRow(row.id, tuple(ids), (False, *[True] * (len(ids) - 1)))

    def _assistant_spans(self, messages: Sequence[Message], text: str) -> list[tuple[int, int]]:
        """Character ranges that assistant turns, their end tokens included, take in the rendered `text`."""
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self.render(messages[:index], add_generation_prompt=True)
            after = self.render(messages[: index + 1])
            if not (text.startswith(after) and after.startswith(before)):
                raise TemplateError(
                    "the template renders an assistant turn differently when more turns follow, "
                    "so that its loss mask cannot be derived",
                    where=self._name,
                )
            spans.append((len(before), len(after)))
        return spans

    def _mark_targets(
        self, targets: list[bool], ids: list[int], offsets: list[tuple[int, int]], span: tuple[int, int]
    ) -> None:
        """Set the targets of one turn: from its first token to its last special token, which ends it."""
        start, end = span
        inside = [index for index, (left, right) in enumerate(offsets) if left >= start and right <= end]
        if not inside or offsets[inside[0]][0] != start:
            raise TemplateError("a token straddles the start of an assistant turn", where=self._name)
        ends = [index for index in inside if ids[index] in self._special_ids]
        if not ends:
            raise TemplateError("an assistant turn has no end token: the model would never stop", where=self._name)
        for index in range(inside[0], ends[-1] + 1):
            targets[index] = True

    def _has_default_system_prompt(self) -> bool:
        """Whether rendering a conversation without a system turn adds a text that an empty one does not."""
        plain = self._render(PROBE, False)
        try:
            empty = self._render(({"role": "system", "content": ""}, *PROBE), False)
        except TemplateError:
            return False
        return len(empty) < len(plain)

    def _without_default_system_prompt(self, messages: Sequence[Message]) -> Sequence[Message]:
        if self._slips_in_system_prompt and (not messages or messages[0]["role"] != "system"):
            return ({"role": "system", "content": ""}, *messages)
        return messages

    def _render(self, messages: Sequence[Message], add_generation_prompt: bool) -> str:
        try:
            turns: list[Any] = [dict(message) for message in messages]
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        except (JinjaError, TypeError, ValueError) as error:
            raise TemplateError(f"the template refuses this conversation: {error}", where=self._name) from error
        assert isinstance(text, str)
        return text

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _end_of_text_id(self) -> int:
        token = self._tokenizer.eos_token_id
        return int(token) if token is not None else self.end_token_id
