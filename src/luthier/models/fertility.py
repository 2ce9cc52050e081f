"""How many tokens a tokenizer makes of a word (Rust et al. 2021, How Good is Your Tokenizer?, section 3.1)."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

WORD = re.compile(r"\w+")
TEXTS_PER_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Fertility:
    """Counts over some texts. `tokens` are all tokens of the texts, `word_tokens` those that hold a part of a word."""

    texts: int
    words: int
    tokens: int
    word_tokens: int
    split_words: int

    @property
    def tokens_per_word(self) -> float | None:
        return self.word_tokens / self.words if self.words else None

    @property
    def split_share(self) -> float | None:
        """Share of words that are more than one token."""
        return self.split_words / self.words if self.words else None

    def to_json(self) -> dict[str, object]:
        return {
            "texts": self.texts,
            "words": self.words,
            "tokens": self.tokens,
            "tokens_per_word": _rounded(self.tokens_per_word),
            "split_share": _rounded(self.split_share),
        }


def fertility(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Fertility:
    """What the tokenizer makes of the texts, without the special tokens that it puts around a text."""
    backend = plain_backend(tokenizer)
    counts = np.zeros(5, np.int64)
    left = iter(texts)
    while batch := list(islice(left, TEXTS_PER_BATCH)):
        for text, encoding in zip(batch, backend.encode_batch(batch, add_special_tokens=False), strict=True):
            per_word = _tokens_of_words(text, np.array(encoding.offsets, np.int64).reshape(-1, 2))
            counts += (1, len(per_word), len(encoding), int(per_word.sum()), int((per_word > 1).sum()))
    return Fertility(*map(int, counts))


def plain_backend(tokenizer: Any) -> Tokenizer:
    """A copy of the tokenizer inside a transformers one that neither pads nor cuts off."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    return backend


def _tokens_of_words(text: str, spans: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int [words]: how many of the tokens at `spans`, int [tokens, 2] of characters, hold a part of each word."""
    words = np.array(list(_word_spans(text)), np.int64).reshape(-1, 2)
    spans = spans[spans[:, 1] > spans[:, 0]]
    before = np.searchsorted(np.sort(spans[:, 1]), words[:, 0], side="right")  # tokens that end before the word
    begun = np.searchsorted(np.sort(spans[:, 0]), words[:, 1], side="left")  # tokens that begin before its end
    counts: npt.NDArray[np.int64] = begun - before
    return counts


def _word_spans(text: str) -> Iterator[tuple[int, int]]:
    return (found.span() for found in WORD.finditer(text))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
