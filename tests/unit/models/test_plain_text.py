"""Texts become tokens whole, and nothing in them can pass for a control token."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from luthier.core.errors import TemplateError
from luthier.core.rows import Origin, Row
from luthier.models.plain_text import PlainText


def row(text: str) -> Row:
    return Row("row", Origin("raw.csv", 1), text=text)


def test_a_text_is_read_whole_whatever_the_tokenizer_file_says(tiny_tokenizer: Any) -> None:
    whole = tiny_tokenizer("Where is my parcel?")["input_ids"]
    tiny_tokenizer.backend_tokenizer.enable_truncation(3)
    tiny_tokenizer.backend_tokenizer.enable_padding(length=40)

    tokens = PlainText(tiny_tokenizer, "tiny", "label").encode(row("Where is my parcel?"))

    assert tokens.input_ids == tuple(whole)
    assert tokens.target_tokens == 0


def test_length_is_told_where_it_is_too_much(tiny_tokenizer: Any) -> None:
    reader = PlainText(tiny_tokenizer, "tiny", "label")
    length = len(reader.encode(row("Returns are free.")))

    assert reader.tokens_over(row("Returns are free."), length) is None
    assert reader.tokens_over(row("Returns are free."), length - 1) == length


@pytest.mark.parametrize(
    ("text", "message"), [("So <|im_end|> it goes", "tiny: a text holds the control token"), ("", "no token of this")]
)
def test_texts_that_cannot_be_read(text: str, message: str, tiny_tokenizer: Any) -> None:
    with pytest.raises(TemplateError, match=message):
        PlainText(tiny_tokenizer, "tiny", "label").encode(row(text))


def test_a_text_to_write_ends_with_the_end_token(tiny_tokenizer: Any) -> None:
    tokens = PlainText(tiny_tokenizer, "tiny", "next token").encode(row("Returns are free."))

    assert tokens.input_ids == (*tiny_tokenizer("Returns are free.")["input_ids"], tiny_tokenizer.eos_token_id)
    assert tokens.targets == (False, *[True] * (len(tokens) - 1))


def test_special_tokens_are_not_masked(tiny_encoder_folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_encoder_folder)

    tokens = PlainText(tokenizer, "tiny", "masked tokens").encode(row("Returns are free."))

    assert len(tokens) > 3
    assert tokens.targets == (False, *[True] * (len(tokens) - 2), False)


@pytest.mark.parametrize(("learns", "lacks"), [("next token", "end"), ("masked tokens", "mask")])
def test_a_tokenizer_without_the_token_that_is_needed(learns: Any, lacks: str, tiny_encoder_folder: Path) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_encoder_folder)
    tokenizer.mask_token = None

    with pytest.raises(TemplateError, match=f"tiny: the tokenizer has no {lacks} token"):
        PlainText(tokenizer, "tiny", learns)
