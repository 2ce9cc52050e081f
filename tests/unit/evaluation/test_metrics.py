import math

import pytest

from luthier.core.generation import Completion
from luthier.core.rows import RowLoss
from luthier.evaluation.facts import AnswerScore
from luthier.evaluation.measured import HeldOutRow, Measured
from luthier.evaluation.metrics import METRICS, compare, measure
from luthier.evaluation.replies import ReplyTask, score_reply
from luthier.evaluation.skills import SkillScore
from luthier.evaluation.slices import find_slices, length_name
from luthier.evaluation.steadiness import VariantScore

ROWS = [RowLoss("a", 10.0, 10, 4), RowLoss("b", 20.0, 5, 1)]
HELD_OUT = {
    "a": HeldOutRow("a", "chats.jsonl", "en", 20, 40),
    "b": HeldOutRow("b", "tickets.csv", "de", 200, 20),
}


def answers(*recalled, topic="returns"):
    return [
        AnswerScore(f"{number}?", ("€1",), "I don't know." if not right else "€1", right, (), False, topic)
        for number, right in enumerate(recalled)
    ]


def test_losses_are_per_token_and_per_byte():
    found = measure(Measured("run-1", test=ROWS, validation=ROWS), HELD_OUT)
    assert found["test_loss"].value == pytest.approx(2.0)
    assert found["test_perplexity"].value == pytest.approx(math.exp(2.0))
    assert found["test_bits_per_byte"].value == pytest.approx(30 / math.log(2) / 60)
    assert found["test_token_accuracy"].value == pytest.approx(5 / 15)
    assert found["validation_loss"] == found["test_loss"]


def test_bytes_that_are_not_known_give_no_bits_per_byte():
    assert "test_bits_per_byte" not in measure(Measured("run-1", test=ROWS), {})


def test_shares_of_answers_have_the_interval_of_wilson():
    found = measure(Measured("run-1", answers=answers(True, True, False, False)), {})
    assert (found["facts_recalled"].value, found["refused"].value) == (0.5, 0.5)
    assert found["facts_recalled"].low == pytest.approx(0.15, abs=1e-2)
    assert found["answer_words"].value == 2.0


def test_replies_are_compared_with_those_of_people():
    replies = [
        score_reply(ReplyTask("a", "What?", "It costs €6.50 today."), Completion(text, "stop", 1, 1))
        for text in ("it costs €6.50 today", "It costs nothing.")
    ]
    found = measure(Measured("run-1", replies=replies), {})
    assert (found["reply_exact"].value, found["reply_facts"].value) == (0.5, 0.5)
    assert found["reply_rouge_l"].value == pytest.approx(100 * (1 + 2 * 2 / (3 + 5)) / 2)
    assert found["reply_rouge_1"].low < found["reply_rouge_1"].value < found["reply_rouge_1"].high
    assert 0 < found["reply_bleu"].value < 100
    assert 50 < found["reply_chrf"].value < 80


def test_replies_to_answers_without_facts_do_not_count_among_the_facts():
    asked = [ReplyTask("a", "What?", text) for text in ("It costs €6.50 today.", *["That I do not know."] * 5)]
    replies = [score_reply(task, Completion("It costs €6.50 today.", "stop", 1, 1)) for task in asked]
    assert measure(Measured("run-1", replies=replies), {})["reply_facts"].value == 1.0
    assert "reply_facts" not in measure(Measured("run-1", replies=replies[1:]), {})


def test_ways_of_asking_one_question_are_no_examples_of_their_own():
    """All eight answers to half of the questions turned: as sure as sixteen examples, not as 128."""
    variants = [
        VariantScore(f"way {way}", f"{number}?", "", number % 2 == 0, True) for number in range(16) for way in range(8)
    ]
    found = measure(Measured("run-1", variants=variants), {})["variants_turned"]
    assert found.value == 0.5
    assert found.high - found.low > 0.4


def test_skills_are_apart():
    skills = [
        SkillScore("JSON", "a", "", True),
        SkillScore("JSON", "b", "", False),
        SkillScore("arithmetic", "c", "", True),
    ]
    found = measure(Measured("run-1", skills=skills), {})
    assert (found["skill_json"].value, found["skill_arithmetic"].value) == (0.5, 1.0)
    assert "skill_politeness" not in found


def test_what_was_not_measured_has_no_metric():
    assert measure(Measured("run-1"), {}) == {}
    assert compare(Measured("run-1", answers=answers(True)), Measured("base-1"), {}) == {}


def test_differences_pair_the_examples():
    ours, theirs = answers(*[True] * 20), answers(*[True] * 10, *[False] * 10)
    found = compare(Measured("run-1", answers=ours), Measured("base-1", answers=theirs), {})
    assert found["facts_recalled"].value == 0.5
    assert 0.2 < found["facts_recalled"].low < 0.5
    assert found["never_stopped"].value == 0.0


def test_rows_pair_whatever_their_order():
    better = [RowLoss(row.row_id, row.loss_sum - row.target_tokens, row.target_tokens, 0) for row in reversed(ROWS)]
    found = compare(Measured("run-1", test=better), Measured("base-1", test=ROWS), HELD_OUT)
    assert (found["test_loss"].low, found["test_loss"].high) == (-1.0, -1.0)
    assert found["test_token_accuracy"].value == pytest.approx(-5 / 15)


def test_every_metric_has_a_name_of_its_own():
    assert len({metric.name for metric in METRICS}) == len({metric.label for metric in METRICS}) == len(METRICS)


def test_parts_show_what_the_average_hides():
    topics = ["returns"] * 10 + ["delivery"] * 10 + ["rare"] * 2
    ours = [
        one
        for right, topic in zip([True] * 10 + [False] * 12, topics, strict=True)
        for one in answers(right, topic=topic)
    ]
    rows = [RowLoss(f"{number:02}", 10.0 * (1 + number % 2), 10, 0) for number in range(20)]
    held_out = {
        row.row_id: HeldOutRow(row.row_id, f"file {number % 2}", "en", 10 + 100 * (number % 2), 9)
        for number, row in enumerate(rows)
    }
    one = Measured("run-1", test=rows, answers=ours)
    slices = {(part.by, part.name): part for part in find_slices(one, one, held_out)}
    assert list(slices) == [
        ("topic", "delivery"),
        ("topic", "returns"),
        ("source", "file 0"),
        ("source", "file 1"),
        ("length", "41 to 120 words"),
        ("length", "up to 40 words"),
    ]
    assert (slices["topic", "returns"].candidate.value, slices["topic", "delivery"].candidate.value) == (1.0, 0.0)
    assert (slices["source", "file 0"].candidate.value, slices["source", "file 1"].candidate.value) == (1.0, 2.0)
    assert slices["source", "file 0"].difference.value == 0.0
    assert slices["topic", "returns"].to_json()["examples"] == 10
    assert slices["topic", "returns"].candidate.low == pytest.approx(0.72, abs=0.01), "ten of ten is no certainty"


@pytest.mark.parametrize(
    ("words", "name"), [(40, "up to 40 words"), (41, "41 to 120 words"), (121, "more than 120 words")]
)
def test_lengths_have_three_names(words, name):
    assert length_name(words) == name


def test_without_rows_there_are_no_parts():
    assert find_slices(Measured("a"), Measured("b"), {}) == []
