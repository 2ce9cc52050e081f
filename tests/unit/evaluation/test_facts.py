import pytest

from luthier.core.generation import Completion
from luthier.evaluation.facts import score_answer, score_answers
from luthier.evaluation.questions import GoldenQuestion
from luthier.text.unsupported import Support

QUESTION = GoldenQuestion(
    "What does delivery cost and when does it come, for an order of €30?", ("€6.50", "4 working days")
)

TRAINED = Support.of(["Delivery takes 5 working days and costs €9."])


def completion(text, finish_reason="stop"):
    return Completion(text, finish_reason, prompt_tokens=9, completion_tokens=9)


def test_recalled_needs_every_fact():
    whole = score_answer(QUESTION, completion("It costs 6,50 € and takes four business days."), TRAINED)
    part = score_answer(QUESTION, completion("It costs 6,50 €."), TRAINED)
    assert (whole.recalled, part.recalled) == (True, False)
    assert whole.wrong == part.wrong == ()


def test_wrong_facts_are_counted_beside_the_right_ones():
    score = score_answer(
        QUESTION, completion("Orders of €30 cost €6.50 or €9 and take 4 working days, at 8 am."), TRAINED
    )
    assert score.recalled
    assert score.wrong == ("9.00 EUR",)


def test_an_answer_cut_off_never_stopped():
    assert score_answer(QUESTION, completion("and and and", "length"), TRAINED).never_stopped
    assert not score_answer(QUESTION, completion("", "stop"), TRAINED).never_stopped


def test_answers_keep_the_order_of_their_questions():
    other = GoldenQuestion("Who brings it?", ("Nordway",))
    scores = score_answers([QUESTION, other], [completion("No idea."), completion("Nordway does.")], TRAINED)
    assert [(score.question, score.recalled) for score in scores] == [
        (QUESTION.question, False),
        (other.question, True),
    ]


def test_an_answer_too_few_is_a_bug():
    with pytest.raises(ValueError, match="zip"):
        score_answers([QUESTION], [], TRAINED)


def test_unsupported_is_what_question_facts_and_training_lack():
    score = score_answer(QUESTION, completion("For €30 it is €6.50, else €9 or €7, in 5 working days."), TRAINED)
    assert score.unsupported == ("7.00 EUR",)


def test_length_refusal_and_topic_are_of_the_answer():
    score = score_answer(GoldenQuestion("Why?", ("x",), "returns"), completion("I don't know, sorry."), TRAINED)
    assert (score.words, score.refused, score.topic) == (4, True, "returns")
