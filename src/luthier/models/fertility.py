"""How many tokens a tokenizer makes of a word (Rust et al. 2021, How Good is Your Tokenizer?, section 3.1)."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

WORD = re.compile(r"\w+")
TEXTS_PER_BATCH = 1_000
SHOWN_WORDS = 20
"""Words that are listed as split most."""


@dataclass(frozen=True, slots=True)
class SplitWord:
    """A word that is more than one token somewhere; `tokens` are those of all its occurrences together."""

    word: str
    occurrences: int
    tokens: int

    def to_json(self) -> dict[str, object]:
        each = round(self.tokens / self.occurrences, 2)
        return {"word": self.word, "occurrences": self.occurrences, "tokens_each": each}


@dataclass(frozen=True, slots=True)
class Fertility:
    """Counts over some texts. `tokens` are all tokens of the texts, `word_tokens` those that hold a part of a word.

    `most_split` are the words whose splitting costs most tokens: those that are both frequent and long in tokens.
    """

    texts: int
    characters: int
    words: int
    tokens: int
    word_tokens: int
    split_words: int
    most_split: tuple[SplitWord, ...] = ()

    @property
    def tokens_per_word(self) -> float | None:
        return self.word_tokens / self.words if self.words else None

    @property
    def characters_per_token(self) -> float | None:
        return self.characters / self.tokens if self.tokens else None

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
            "characters_per_token": _rounded(self.characters_per_token),
            "split_share": _rounded(self.split_share),
            "most_split": [word.to_json() for word in self.most_split],
        }


def fertility(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> Fertility:
    """What the tokenizer makes of the texts, without the special tokens that it puts around a text.

    Texts are read once, in a stream; memory grows with the number of distinct words.
    """
    backend = plain_backend(tokenizer)
    counts = np.zeros(6, np.int64)
    occurrences: Counter[str] = Counter()
    excess: Counter[str] = Counter()
    left = iter(texts)
    while batch := list(islice(left, TEXTS_PER_BATCH)):
        for text, encoding in zip(batch, backend.encode_batch(batch, add_special_tokens=False), strict=True):
            found = list(WORD.finditer(text))
            words = np.array([word.span() for word in found], np.int64).reshape(-1, 2)
            per_word = _tokens_of_words(words, np.array(encoding.offsets, np.int64).reshape(-1, 2))
            split = np.flatnonzero(per_word > 1).tolist()
            counts += (1, len(text), len(found), len(encoding), int(per_word.sum()), len(split))
            occurrences.update(word[0] for word in found)
            for place in split:
                excess[found[place][0]] += int(per_word[place]) - 1
    costly = sorted(excess.items(), key=lambda item: (-item[1], item[0]))[:SHOWN_WORDS]
    listed = tuple(SplitWord(word, occurrences[word], occurrences[word] + more) for word, more in costly)
    read, characters, number, tokens, word_tokens, split_words = counts.tolist()
    return Fertility(read, characters, number, tokens, word_tokens, split_words, listed)


def plain_backend(tokenizer: Any) -> Tokenizer:
    """A copy of the tokenizer inside a transformers one that neither pads nor cuts off."""
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    return backend


def _tokens_of_words(words: npt.NDArray[np.int64], spans: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int [words]: how many of the tokens at `spans`, int [tokens, 2], hold a part of each word at int [words, 2].

    Both are places of characters, begin and end.
    """
    spans = spans[spans[:, 1] > spans[:, 0]]
    before = np.searchsorted(np.sort(spans[:, 1]), words[:, 0], side="right")  # tokens that end before the word
    begun = np.searchsorted(np.sort(spans[:, 0]), words[:, 1], side="left")  # tokens that begin before its end
    counts: npt.NDArray[np.int64] = begun - before
    return counts


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
