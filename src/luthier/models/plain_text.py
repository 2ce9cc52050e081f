"""Rows as plain text, for models that have no chat template and tasks that need none."""

from typing import Any, Literal

from luthier.core.errors import TemplateError
from luthier.core.rows import Row, TokenRow
from luthier.models.template import control_tokens, ended_text, refuse_control_tokens, text_ids

Learns = Literal["label", "next token", "masked tokens"]
"""What is predicted of a text: no token of it; each one after those before it, and its end; words that are masked."""


class PlainText:
    """Texts between the tokens that the tokenizer itself puts around them.

    `control_tokens` are the special tokens by id, which no text may hold. Raises TemplateError for a tokenizer without
    the special token that is needed: an end of texts that are to be written, a mask.
    """

    def __init__(self, tokenizer: Any, name: str, learns: Learns) -> None:
        self._tokenizer, self._name, self.learns = tokenizer, name, learns
        self.control_tokens = control_tokens(tokenizer)
        if learns == "next token" and tokenizer.eos_token_id is None:
            raise TemplateError("the tokenizer has no end token", where=name, allowed="a model that writes")
        if learns == "masked tokens" and tokenizer.mask_token_id is None:
            raise TemplateError("the tokenizer has no mask token", where=name, allowed="an encoder such as BERT")

    def encode(self, row: Row) -> TokenRow:
        """The row's text; targets are the tokens that may be predicted, none where a label is.

        Raises TemplateError for a text that holds a control token, or that is no token.
        """
        refuse_control_tokens(self.control_tokens, row.text, "a text", self._name)
        ids = text_ids(self._tokenizer, row.text)
        if not ids:
            raise TemplateError("the tokenizer makes no token of this text", where=self._name)
        if self.learns == "next token":
            return ended_text(row.id, ids, self._tokenizer.eos_token_id)
        may_be_masked = self.learns == "masked tokens"
        return TokenRow(row.id, tuple(ids), tuple(may_be_masked and token not in self.control_tokens for token in ids))

    def tokens_over(self, row: Row, limit: int) -> int | None:
        """How many tokens `encode` gives if they are more than `limit`; None where the row fits."""
        count = len(self.encode(row))
        return count if count > limit else None
