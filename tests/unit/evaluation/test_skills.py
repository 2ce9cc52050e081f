from collections import Counter

import pytest

from luthier.core.generation import Completion
from luthier.evaluation.metrics import SKILLS
from luthier.evaluation.skills import general_texts, passes, score_skills, skill_tasks


def test_the_texts_are_many_and_of_a_paragraph_each():
    texts = general_texts()
    assert len(texts) == len(set(texts)) == 40
    assert all(80 <= len(text) <= 420 for text in texts), [len(text) for text in texts]


def test_each_skill_has_as_many_tasks():
    tasks = skill_tasks()
    assert Counter(task.skill for task in tasks) == dict.fromkeys(
        ("instructions", "arithmetic", "politeness", "JSON"), 15
    )
    assert {task.skill for task in tasks} == set(SKILLS)
    assert len({task.prompt for task in tasks}) == len(tasks)


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        ({"kind": "exact", "text": "ok"}, ["OK", " ok.\n"], ["OK, I will", "", "okay"]),
        ({"kind": "exact", "text": "HELLO", "case": True}, ["HELLO!"], ["hello", "Hello"]),
        ({"kind": "words", "most": 1, "contains": ["cold|cool"]}, ["Cold.", "cool"], ["It is cold.", "hot", ""]),
        ({"kind": "lines", "lines": 3}, ["apple\npear\n\nplum", "1. a\n2. b\n3. c\n"], ["apple, pear, plum", ""]),
        ({"kind": "starts", "text": "rain"}, ["Rain falls."], ["It rains.", ""]),
        ({"kind": "contains", "all": ["autumn|fall", "1 2"]}, ["Fall: 1, 2"], ["autumn 2 1", "waterfall 1 2"]),
        ({"kind": "number", "value": 12}, ["7 + 5 = 12.", "12.0", "twelve, 12"], ["12 + 5 = 17", "twelve", ""]),
        ({"kind": "number", "value": 1000}, ["1,000"], ["1.5"]),
        ({"kind": "polite"}, ["I am sorry to hear it."], ["You idiot, sorry.", "Sorry", "sorry sorry sorry so", ""]),
        (
            {"kind": "json", "values": {"name": "Ana", "age": 31}},
            ['```json\n{"age": 31, "name": "Ana"}\n```', 'Here: {"name": "Ana", "age": 31} Done.'],
            ['{"name": "Ana", "age": "31"}', "name: Ana, age: 31", '{"name": "Ana"', "[]"],
        ),
        ({"kind": "json", "values": {"items": []}}, ['[x] {"items": []}'], ["{}", "none"]),
    ],
)  # fmt: skip
def test_checks(check, right, wrong):
    assert [answer for answer in right if not passes(check, answer)] == []
    assert [answer for answer in wrong if passes(check, answer)] == []


def test_every_task_can_be_passed_and_none_by_silence():
    tasks = skill_tasks()
    assert not any(passes(task.check, "") for task in tasks)
    for task in tasks:
        assert passes(task.check, _model_answer(task)), task


def _model_answer(task):
    """An answer that does what the prompt asks for."""
    import json

    check = task.check
    match check["kind"]:
        case "exact":
            return check["text"]
        case "words":
            return check["contains"][0].split("|")[0]
        case "lines":
            return "\n".join(["one"] * check["lines"])
        case "starts":
            return f"{check['text']} falls."
        case "contains":
            return " ".join(phrase.split("|")[-1] for phrase in check["all"])
        case "number":
            return f"It is {check['value']}."
        case "polite":
            return "I am sorry about that. Please tell me more."
        case "json":
            return f"Sure: {json.dumps(check['values'])}"
    raise AssertionError(check)


def test_scores_keep_the_order_of_the_tasks():
    tasks = skill_tasks()[15:17]
    scores = score_skills(tasks, [Completion("12", "stop", 9, 2), Completion("9", "stop", 9, 2)])
    assert [(score.skill, score.passed) for score in scores] == [("arithmetic", True), ("arithmetic", False)]


def test_an_unknown_check_is_a_bug():
    with pytest.raises(ValueError, match="no check of kind 'vibes'"):
        passes({"kind": "vibes"}, "x")
