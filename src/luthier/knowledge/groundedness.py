"""Is an answer grounded in the text that it was given? Sentence by sentence, by words shared, meaning, and facts.

A logistic regression over four signals; its weights were fitted to labelled pairs by
`benchmarks/bench_groundedness.py`, which prints how often it is right beside the share of words alone. Other values are
told nearly always; what says the opposite in the text's own words is not: that would need a model of entailment.
English texts.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from luthier.text.overlap import words
from luthier.text.sentences import sentences
from luthier.text.unsupported import Support, unsupported_facts

Embed = Callable[[Sequence[str]], npt.NDArray[np.float32]]
"""Texts to vectors of length 1, float32 [texts, dimension]."""
Signals = tuple[float, float, float, float]

WEIGHTS: Signals = (0.36, 2.69, -2.03, -1.12)
BIAS = -1.05
THRESHOLD = 0.5

_WINDOW = 2
"""Neighbouring sentences that are read together: one answer sentence often draws on two."""
_ABSOLUTES = frozenset({
    "every", "all", "always", "never", "ever", "any", "none", "nothing", "nobody", "anybody", "everything", "everyone",
    "whole", "unlimited", "again", "once",
})  # fmt: skip
"""Words that claim more than most texts do: suspicious where the text lacks them."""
_FUNCTION_WORDS = frozenset([
    "a", "an", "the", "and", "or", "but", "if", "of", "to", "in", "on", "at", "for", "from", "with", "by", "as",
    "is", "are", "was", "were", "be", "been", "it", "its", "this", "that", "these", "those", "you", "your", "we",
    "our", "they", "their", "he", "she", "i", "my", "me", "us", "them", "there", "here", "will", "would", "can",
    "could", "may", "must", "have", "has", "had", "do", "does", "did", "so", "then", "than", "too", "also", "up",
    "out", "about",
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class GroundedSentence:
    """One sentence of an answer: how probable it is that the given text says it, and the part that says it best."""

    sentence: str
    probability: float
    evidence: str

    @property
    def grounded(self) -> bool:
        return self.probability >= THRESHOLD


def ground(answer: str, passages: Sequence[str], embed: Embed) -> list[GroundedSentence]:
    """Judge each sentence of the answer by the passages. Without passages nothing is grounded.

    An answer without a sentence gives none.
    """
    said = [sentence.strip() for sentence in sentences(answer) if words(sentence)]
    windows = [window for passage in passages for window in windows_of(passage)]
    if not windows:
        return [GroundedSentence(sentence, 0.0, "") for sentence in said]
    return [
        GroundedSentence(sentence, probability(signals), windows[best])
        for sentence, (signals, best) in zip(said, signals_of(said, passages, windows, embed), strict=True)
    ]


def share_grounded(judged: Sequence[GroundedSentence]) -> float:
    """Share of the sentences that are grounded; 1 where there is none, since nothing was claimed."""
    return sum(one.grounded for one in judged) / len(judged) if judged else 1.0


def probability(signals: Signals) -> float:
    """That a sentence with these signals is grounded."""
    score = BIAS + sum(weight * signal for weight, signal in zip(WEIGHTS, signals, strict=True))
    return 1 / (1 + math.exp(-score))


def windows_of(passage: str) -> list[str]:
    """Its sentences, alone and with the one after."""
    parts = [part.strip() for part in sentences(passage) if words(part)]
    return [
        " ".join(parts[place : place + size])
        for size in range(1, _WINDOW + 1)
        for place in range(len(parts) - size + 1)
    ]


def signals_of(
    said: Sequence[str], passages: Sequence[str], windows: Sequence[str], embed: Embed
) -> list[tuple[Signals, int]]:
    """Of each sentence: the share of its words in the best window, the likeness of meaning (a cosine), how many facts
    nothing supports and how many absolute words the passages lack (two at most); and the number of the best window."""
    vectors = embed([*said, *windows])
    likeness = vectors[: len(said)] @ vectors[len(said) :].T
    support, spoken = Support.of(passages), frozenset(word for passage in passages for word in words(passage))
    read = [frozenset(content_words(window)) for window in windows]
    found = []
    for row, sentence in enumerate(said):
        own = frozenset(content_words(sentence))
        shares = np.array([len(own & other) / len(own) if own else 1.0 for other in read])
        invented = min(len(unsupported_facts(sentence, support)), 2)
        absolute = min(len(_ABSOLUTES.intersection(words(sentence)) - spoken), 2)
        signals = float(shares.max()), float(likeness[row].max()), float(invented), float(absolute)
        found.append((signals, int((shares + likeness[row]).argmax())))
    return found


def content_words(text: str) -> list[str]:
    """The words of a text that carry meaning, without their endings, as far as a rule of thumb can tell."""
    return [_stem(word) for word in words(text) if word not in _FUNCTION_WORDS]


def _stem(word: str) -> str:
    return re.sub(r"(?<=\w{3})(?:ies|ing|ed|es|s|y|e)$", "", word)
