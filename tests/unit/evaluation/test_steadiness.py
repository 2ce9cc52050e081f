import pytest

from luthier.core.generation import Completion
from luthier.evaluation.questions import GoldenQuestion
from luthier.evaluation.steadiness import (
    VARIANTS,
    agreement,
    agreement_sentence,
    compare_variants,
    reworded,
    score_sampled,
    score_variants,
)

QUESTIONS = [GoldenQuestion("What does {it} cost?", ("€14",)), GoldenQuestion("When does it come?", ("3 days",))]


def test_every_way_keeps_the_question_as_it_is():
    texts = reworded(QUESTIONS)
    assert len(texts) == 2 * len(VARIANTS)
    assert len(set(texts)) == len(texts)
    for place, text in enumerate(texts):
        assert QUESTIONS[place % 2].question in text
        assert text != QUESTIONS[place % 2].question


def test_names_come_in_pairs_that_differ_in_gender_alone():
    names = [variant.template.split()[3:5] for variant in VARIANTS if variant.change == "name"]
    assert [last for _, last in names] == ["Clarke.", "Clarke.", "Hussain.", "Hussain."]


def scores(*right, plainly=(True, True)):
    """Every way of asking gets the answers of the first, but those listed are right."""
    texts = ["€14" if number in right else "No idea." for number in range(2 * len(VARIANTS))]
    return score_variants(QUESTIONS, plainly, [Completion(text, "stop", 1, 1) for text in texts])


def test_answers_are_scored_by_the_facts_of_their_question():
    found = scores(0, 3)
    assert [score.recalled for score in found[:4]] == [True, False, False, False]
    assert found[0].question == QUESTIONS[0].question
    assert all(score.plainly for score in found)


def test_each_way_is_set_beside_asking_plainly():
    results = compare_variants(scores(0, plainly=(True, False)))
    assert [result.variant for result in results] == list(VARIANTS)
    assert (results[0].recalled.value, results[0].difference.value) == (0.5, 0.0)
    assert (results[1].recalled.value, results[1].difference.value) == (0.0, -0.5)
    assert results[0].to_json()["questions"] == 2
    assert compare_variants([]) == []


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["€14.", "It is 14 euros.", "EUR 14"], 1.0),
        (["€14.", "It is €15.", "€14"], 1 / 3),
        (["€14.", "No idea."], 0.0),
        (["Nordway brings it to you.", "Nordway brings it to you.", "You fetch it."], 1 / 3),
        (["", ""], 1.0),
        (["once"], 1.0),
        ([], 1.0),
    ],
)
def test_agreement_is_of_facts_or_else_of_words(answers, expected):
    assert agreement(answers) == pytest.approx(expected)


def test_agreement_is_set_beside_being_right():
    steady, shaky = ["€14", "€14", "€14.", "14 euros"], ["€14", "€15", "€16", "No idea."]
    scores = [score_sampled("a?", steady, True), score_sampled("b?", steady, False), score_sampled("c?", shaky, False)]
    assert [score.agreement for score in scores] == [1.0, 1.0, 0.0]
    assert agreement_sentence(scores).endswith(
        "where they say the same in most pairs, 1 of 2 questions are answered right; "
        "where they do not, 0 of 1 questions are answered right."
    )
