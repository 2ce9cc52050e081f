"""Rows as plain text, for models that have no chat template and tasks that need none."""

from typing import Any

from luthier.core.errors import TemplateError
from luthier.core.rows import Row, TokenRow
from luthier.models.template import control_tokens, refuse_control_tokens, text_ids


class PlainText:
    """Texts between the tokens that the tokenizer itself puts around them.

    `control_tokens` are the special tokens by id, which no text may hold.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer, self._name = tokenizer, name
        self.control_tokens = control_tokens(tokenizer)

    def encode(self, row: Row) -> TokenRow:
        """The row's text, without a target: what is to be predicted is not a token of it.

        Raises TemplateError for a text that holds a control token, or that is no token.
        """
        refuse_control_tokens(self.control_tokens, row.text, "a text", self._name)
        ids = text_ids(self._tokenizer, row.text)
        if not ids:
            raise TemplateError("the tokenizer makes no token of this text", where=self._name)
        return TokenRow(row.id, tuple(ids), (False,) * len(ids))

    def tokens_over(self, row: Row, limit: int) -> int | None:
        """How many tokens `encode` gives if they are more than `limit`; None where the row fits."""
        count = len(self.encode(row))
        return count if count > limit else None
