import numpy as np
import pytest
from sacrebleu.metrics import BLEU, CHRF

from luthier.core.generation import Completion
from luthier.evaluation.replies import ReplyTask, bleu_of_sums, score_reply

PAIRS = [
    ("Returns are free within 30 days of delivery.", "Returns are free within 30 days."),
    ("The cat sat on the mat.", "A cat was sitting on the mat today."),
    ("It costs €6.50 and takes 3 days.", "Delivery costs €6.50 and takes three working days."),
    ("No.", "We do not ship there, I am sorry."),
]


def score(answer, expected):
    return score_reply(ReplyTask("row-1", "What?", expected), Completion(answer, "stop", 5, 5))


def test_the_same_words_are_exact_and_score_highest():
    found = score("returns are FREE within 30 days", "Returns are free, within 30 days!")
    assert (found.exact, found.rouge_1, found.rouge_l) == (True, 1.0, 1.0)
    assert not score("Returns are free.", "Returns are free within 30 days.").exact


def test_rouge_is_that_of_the_paper():
    """Lin 2004, section 3: police killed the gunman / police kill the gunman / the gunman kill police."""
    near, far = (
        score("police kill the gunman", "police killed the gunman"),
        score("the gunman kill police", "police killed the gunman"),
    )
    assert (near.rouge_l, far.rouge_l) == (0.75, 0.5)
    assert near.rouge_1 == far.rouge_1 == 0.75


def test_facts_are_matched_by_value():
    found = score("It costs 6,50 euros and takes 5 days.", "€6.50, in 3 to 5 days.")
    assert (found.facts, found.facts_matched) == (3, 2)


@pytest.mark.parametrize("pairs", [PAIRS, PAIRS[3:], PAIRS[:1], PAIRS[1:3]])
def test_bleu_of_summed_counts_is_that_of_sacrebleu(pairs):
    answers, references = zip(*pairs, strict=True)
    sums = np.array([score(*pair).bleu for pair in pairs], float).sum(axis=0)
    assert float(bleu_of_sums(sums)) == pytest.approx(BLEU().corpus_score(answers, [references]).score)


def test_bleu_takes_many_sums_at_once():
    counts = np.array([score(*pair).bleu for pair in PAIRS], float)
    both = bleu_of_sums(np.stack([counts.sum(axis=0), counts[0]]))
    assert both.tolist() == [float(bleu_of_sums(counts.sum(axis=0))), float(bleu_of_sums(counts[0]))]


def test_chrf_is_that_of_sacrebleu():
    for answer, expected in PAIRS:
        assert score(answer, expected).chrf == CHRF().sentence_score(answer, [expected]).score


def test_an_empty_answer_scores_nothing():
    found = score("", "Returns are free within 30 days.")
    assert (found.exact, found.rouge_l, found.chrf, found.facts_matched) == (False, 0.0, 0.0, 0)
    assert float(bleu_of_sums(np.array(found.bleu, float))) == 0.0
