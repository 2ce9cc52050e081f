"""How alike two texts are, by the words and runs of words they share."""

import re
from collections.abc import Sequence, Set

_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Thai, Japanese and Chinese write no spaces: there each character counts as a word."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:['’][^\W_{_UNSPACED}]+)*")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation: `"Don't, I said"` -> `["don't", "i", "said"]`."""
    return _WORD.findall(text.casefold().replace("’", "'"))


def ngrams(tokens: Sequence[str], size: int) -> frozenset[tuple[str, ...]]:
    """All runs of `size` words; the single words of a text that is shorter than that."""
    if len(tokens) < size:
        return frozenset((token,) for token in tokens)
    return frozenset(tuple(tokens[start : start + size]) for start in range(len(tokens) - size + 1))


def jaccard(one: Set[object], other: Set[object]) -> float:
    """|A ∩ B| / |A ∪ B|, in 0..1; 1 for two empty sets."""
    if not one and not other:
        return 1.0
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
