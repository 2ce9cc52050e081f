"""The file of golden questions: what a customer may ask and the facts that the answer must state."""

import json
from dataclasses import dataclass
from pathlib import Path

from luthier.core.errors import EvaluationError
from luthier.sources.json_text import decode

ALLOWED = (
    'one object a line: {"question": "...", "facts": ["...", ...]}, and "topic" where there is one; other fields are '
    "ignored"
)


@dataclass(frozen=True, slots=True)
class GoldenQuestion:
    question: str
    facts: tuple[str, ...]
    topic: str = ""


def read_questions(path: Path) -> list[GoldenQuestion]:
    """Questions of a JSONL file, in its order; blank lines are skipped.

    Raises EvaluationError with file and line for anything else than `ALLOWED`, for a question that stands twice
    (it would count as two pieces of evidence), and for a file without questions.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise EvaluationError("is no file", where=str(path), allowed=ALLOWED)
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise EvaluationError(f"cannot read the questions: {error.strerror or error}", where=str(path)) from error
    questions: list[GoldenQuestion] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        where = f"{path}, line {number}"
        if not (text := _decode(line, where).strip()):
            continue
        question = _parse(text, where)
        first = line_of.setdefault(question.question.casefold(), number)
        if first != number:
            raise EvaluationError(f"the same question as in line {first}", where=where, allowed="each question once")
        questions.append(question)
    if not questions:
        raise EvaluationError("holds no questions", where=str(path), allowed=ALLOWED)
    return questions


def _decode(line: bytes, where: str) -> str:
    try:
        return line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationError(f"not UTF-8 at byte {error.start + 1} of the line", where=where) from error


def _parse(line: str, where: str) -> GoldenQuestion:
    try:
        fields = decode(line)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise EvaluationError(f"not valid JSON: {what} at column {error.colno}", where=where) from error
    except RecursionError as error:
        raise EvaluationError("nested too deeply", where=where, allowed=ALLOWED) from error
    if not isinstance(fields, dict):
        raise EvaluationError("not an object", where=where, allowed=ALLOWED)
    question, facts = fields.get("question"), fields.get("facts")
    if not isinstance(question, str) or not question.strip():
        raise EvaluationError("field question is missing or is no text", where=where, allowed=ALLOWED)
    if not isinstance(facts, list) or not facts:
        raise EvaluationError("field facts is missing or is no list with a fact", where=where, allowed=ALLOWED)
    if not all(isinstance(fact, str) and any(map(str.isalnum, fact)) for fact in facts):
        raise EvaluationError("a fact is no text with a word or number", where=where, allowed=ALLOWED)
    topic = fields.get("topic") or ""
    if not isinstance(topic, str):
        raise EvaluationError("field topic is no text", where=where, allowed=ALLOWED)
    return GoldenQuestion(question.strip(), tuple(fact.strip() for fact in facts), topic.strip())
