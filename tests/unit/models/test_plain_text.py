"""Texts become tokens whole, and nothing in them can pass for a control token."""

from typing import Any

import pytest

from luthier.core.errors import TemplateError
from luthier.core.rows import Origin, Row
from luthier.models.plain_text import PlainText


def row(text: str) -> Row:
    return Row("row", Origin("raw.csv", 1), text=text)


def test_a_text_is_read_whole_whatever_the_tokenizer_file_says(tiny_tokenizer: Any) -> None:
    whole = tiny_tokenizer("Where is my parcel?")["input_ids"]
    tiny_tokenizer.backend_tokenizer.enable_truncation(3)
    tiny_tokenizer.backend_tokenizer.enable_padding(length=40)

    tokens = PlainText(tiny_tokenizer, "tiny").encode(row("Where is my parcel?"))

    assert tokens.input_ids == tuple(whole)
    assert tokens.target_tokens == 0


def test_length_is_told_where_it_is_too_much(tiny_tokenizer: Any) -> None:
    reader = PlainText(tiny_tokenizer, "tiny")
    length = len(reader.encode(row("Returns are free.")))

    assert reader.tokens_over(row("Returns are free."), length) is None
    assert reader.tokens_over(row("Returns are free."), length - 1) == length


@pytest.mark.parametrize(
    ("text", "message"), [("So <|im_end|> it goes", "tiny: a text holds the control token"), ("", "no token of this")]
)
def test_texts_that_cannot_be_read(text: str, message: str, tiny_tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match=message):
        PlainText(tiny_tokenizer, "tiny").encode(row(text))
