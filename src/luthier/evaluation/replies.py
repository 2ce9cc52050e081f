"""Answers to the prompts of test rows, beside what people answered there."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from luthier.core.generation import Completion
from luthier.evaluation.statistics import Numbers
from luthier.text.facts import extract_facts
from luthier.text.overlap import words

BLEU_ORDERS = 4


@dataclass(frozen=True, slots=True)
class ReplyTask:
    """A test row's conversation up to its last answer, by the row's id, and that answer."""

    row_id: str
    prompt: str
    expected: str


@dataclass(frozen=True, slots=True)
class ReplyScore:
    """How an answer compares with that of a person to the same prompt.

    `exact` ignores case and punctuation. `facts_matched` of the `facts` in the person's answer stand in this one.
    `rouge_1` and `rouge_l` are F1 in 0..1 (Lin 2004), `chrf` is in 0..100 (Popović 2015). `bleu` are the counts that
    BLEU is made of, see `bleu_of_sums`.
    """

    row_id: str
    prompt: str
    expected: str
    answer: str
    exact: bool
    facts: int
    facts_matched: int
    rouge_1: float
    rouge_l: float
    chrf: float
    bleu: tuple[int, ...] = field(repr=False)


def score_reply(reply: ReplyTask, completion: Completion) -> ReplyScore:
    """Compare one answer with the person's."""
    answer, expected = words(completion.text), words(reply.expected)
    facts = extract_facts(reply.expected)
    return ReplyScore(
        row_id=reply.row_id,
        prompt=reply.prompt,
        expected=reply.expected,
        answer=completion.text,
        exact=answer == expected,
        facts=len(facts),
        facts_matched=len(facts & extract_facts(completion.text)),
        rouge_1=_f1(_shared_words(answer, expected), len(answer), len(expected)),
        rouge_l=rouge_l(answer, expected),
        chrf=_chrf().sentence_score(completion.text, [reply.expected]).score,
        bleu=_bleu_counts(completion.text, reply.expected),
    )


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """F1 of the longest common subsequence of two lists of words (Lin 2004), in 0..1; 1 for two empty ones."""
    return _f1(_common_subsequence(one, other), len(one), len(other))


def bleu_of_sums(sums: Numbers) -> Numbers:
    """BLEU (Papineni et al. 2002) in 0..100 out of summed counts, shape [..., 10]: matched n-grams of orders 1 to 4,
    all n-grams of these orders, words of the answers, words of the references.

    As sacrebleu's corpus BLEU with its default smoothing (an order without a match counts half a match, then a
    quarter, and so on); tokens are sacrebleu's `13a`.
    """
    matched, total = sums[..., :BLEU_ORDERS].copy(), sums[..., BLEU_ORDERS : 2 * BLEU_ORDERS]
    lengths, references = sums[..., -2], sums[..., -1]
    halvings = np.cumsum(matched == 0, axis=-1)
    matched = np.where(matched == 0, 0.5**halvings, matched)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.exp(np.log(matched / total).mean(axis=-1))
        brevity = np.exp(np.minimum(0.0, 1 - references / lengths))
        score = 100 * brevity * precision
    usable = (total > 0).all(axis=-1) & (sums[..., 0] > 0)
    chosen: Numbers = np.where(usable, score, 0.0)
    return chosen


def _bleu_counts(answer: str, expected: str) -> tuple[int, ...]:
    found = _bleu().sentence_score(answer, [expected])
    return (*map(int, found.counts), *map(int, found.totals), int(found.sys_len), int(found.ref_len))


@cache
def _bleu() -> BLEU:
    return BLEU(effective_order=True)  # only the counts are taken from single sentences


@cache
def _chrf() -> CHRF:
    return CHRF()


def _f1(shared: int, one: int, other: int) -> float:
    return 2 * shared / (one + other) if one + other else 1.0


def _shared_words(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(min(one.count(word), other.count(word)) for word in set(one))


def _common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence, by dynamic programming over one row."""
    lengths = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, another in enumerate(other, start=1):
            above = lengths[place]
            lengths[place] = before + 1 if word == another else max(above, lengths[place - 1])
            before = above
    return lengths[-1]
