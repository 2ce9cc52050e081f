"""Words are counted with the tokens that hold a part of them, whatever the tokenizer does about spaces."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from luthier.models.fertility import SplitWord, fertility, plain_backend
from luthier.models.tokenizer_training import train_tokenizer


def letters_tokenizer() -> PreTrainedTokenizerFast:
    """Each letter is a token, but `the` and `cat` are one each; spaces are none."""
    vocabulary = {token: place for place, token in enumerate(["?", "the", "cat", *"abcdefghijklmnopqrstuvwxyz."])}
    backend = Tokenizer(models.BPE(vocabulary, [], ignore_merges=True, unk_token="?"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=backend)


def test_counts_are_those_of_words_and_of_all_tokens():
    found = fertility(letters_tokenizer(), ["the cat sat.", "the dog"])
    assert (found.texts, found.characters, found.words) == (2, 19, 5)
    assert (found.tokens, found.word_tokens, found.split_words) == (10, 9, 2)
    assert found.tokens_per_word == 9 / 5
    assert found.characters_per_token == 19 / 10
    assert found.split_share == 2 / 5


def test_the_words_that_cost_most_come_first():
    found = fertility(letters_tokenizer(), ["elephant dog", "dog dog cat", "owl dog dog dog"])
    assert found.most_split == (SplitWord("dog", 6, 18), SplitWord("elephant", 1, 8), SplitWord("owl", 1, 3))
    assert found.most_split[0].to_json() == {"word": "dog", "occurrences": 6, "tokens_each": 3.0}


@pytest.mark.parametrize("texts", [[], ["", "  "]])
def test_no_words_have_no_fertility(texts):
    found = fertility(letters_tokenizer(), texts)
    assert (found.tokens_per_word, found.split_share, found.characters_per_token) == (None, None, None)
    assert found.to_json()["tokens_per_word"] is None


def test_tokens_around_a_text_do_not_count():
    tokenizer = train_tokenizer(["the cat sat on the mat"] * 3, "wordpiece", 60)
    assert len(tokenizer("the cat")["input_ids"]) == 4  # with [CLS] and [SEP]
    assert fertility(tokenizer, ["the cat"]).tokens == 2


def test_settings_of_the_tokenizer_do_not_count():
    tokenizer: Any = letters_tokenizer()
    tokenizer.backend_tokenizer.enable_truncation(2)
    tokenizer.backend_tokenizer.enable_padding(length=50)
    assert fertility(tokenizer, ["owl"]).tokens == 3
    assert plain_backend(tokenizer).truncation is None
    assert tokenizer.backend_tokenizer.truncation is not None


@given(st.lists(st.text(st.characters(categories=("L", "N", "P", "Z")), max_size=40), max_size=5))
def test_no_word_goes_without_a_token(texts):
    tokenizer = _BYTES
    found = fertility(tokenizer, texts)
    assert found.words <= found.word_tokens
    assert found.split_words <= found.words
    assert found.tokens == sum(len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts)


_BYTES = train_tokenizer(["the cat sat on the mat, naïve and 東京"] * 3, "bpe", 300)
