import json
import os

import pytest

from luthier.core.errors import EvaluationError
from luthier.evaluation.questions import GoldenQuestion, read_questions

GOOD = json.dumps({"question": "What is express delivery?", "facts": ["€14"]}, ensure_ascii=False)


def write(path, *lines):
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_questions_are_read_in_order_with_topics_and_other_fields_ignored(tmp_path):
    other = json.dumps({"id": 3, "topic": "x", "fact": "A01", "question": " Where? ", "facts": ["Porto", " Halden "]})
    path = write(tmp_path / "golden.jsonl", "\ufeff" + GOOD, "", other, "")
    assert read_questions(path) == [
        GoldenQuestion("What is express delivery?", ("€14",)),
        GoldenQuestion("Where?", ("Porto", "Halden"), "x"),
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "not valid JSON"),
        ("[1]", "not an object"),
        ('{"facts": ["x"]}', "question is missing"),
        ('{"question": " ", "facts": ["x"]}', "question is missing"),
        ('{"question": "a?"}', "facts is missing"),
        ('{"question": "a?", "facts": []}', "facts is missing"),
        ('{"question": "a?", "facts": "x"}', "facts is missing"),
        ('{"question": "a?", "facts": [7]}', "a fact is no text"),
        ('{"question": "a?", "facts": ["x"], "topic": 7}', "topic is no text"),
        ('{"question": "a?", "facts": ["x", "€"]}', "a fact is no text"),
        ("[" * 100_000, "nested too deeply"),
        (GOOD.upper().replace("QUESTION", "question").replace("FACTS", "facts"), "the same question as in line 1"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = write(tmp_path / "golden.jsonl", GOOD, "", line)
    with pytest.raises(EvaluationError, match=rf"golden\.jsonl, line 3: .*{message}"):
        read_questions(path)


def test_bytes_that_are_no_utf8_are_named(tmp_path):
    path = tmp_path / "golden.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + GOOD.encode("cp1252"))
    with pytest.raises(EvaluationError, match="line 2: not UTF-8"):
        read_questions(path)


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="holds no questions"):
        read_questions(write(tmp_path / "golden.jsonl", "", " "))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match=r"nowhere\.jsonl: cannot read the questions: No such file"):
        read_questions(tmp_path / "nowhere.jsonl")


def test_what_no_report_could_hold_is_replaced(tmp_path):
    line = r'{"question": "Half \ud800?", "facts": ["x \udc00"], "note": %s}' % ("9" * 5_000)
    assert read_questions(write(tmp_path / "golden.jsonl", line)) == [GoldenQuestion("Half \ufffd?", ("x \ufffd",))]


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "golden.jsonl")
    with pytest.raises(EvaluationError, match=r"golden\.jsonl: is no file"):
        read_questions(tmp_path / "golden.jsonl")
