"""Losses and answers of models over one base, for an evaluation."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from luthier.core.generation import Completion, GenerationRequest, complete
from luthier.core.rows import Message, Origin, Row, RowLoss, TokenRow
from luthier.data import find_leaks, guess_language, spoken
from luthier.evaluation import (
    GoldenQuestion,
    HeldOutRow,
    Leak,
    Measured,
    ReplyTask,
    SkillTask,
    general_texts,
    score_answers,
    score_reply,
    score_skills,
    skill_tasks,
)
from luthier.models.losses import RowsLoss
from luthier.models.methods import load_trained
from luthier.pipeline.base import Base
from luthier.pipeline.engine import RunsGenerator, conversation, run_folder
from luthier.pipeline.project import Project
from luthier.text.overlap import count_words
from luthier.text.unsupported import Support

REQUESTS_AT_ONCE = 64
MOST_REPLIES = 64
"""Test rows whose answers are compared with the person's; more would make the evaluation long."""
SKILL_TOKENS = 32
"""Enough for any of the bundled tasks, which ask for a word, a number, a line of JSON or a sentence."""
TIMED_QUESTIONS = 5

Request = tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Exam:
    """All that a model is measured on. `prompts[i]` is the conversation that `replies[i]` answers; `trained` is what
    the candidate's training rows state."""

    validation: Sequence[TokenRow]
    test: Sequence[TokenRow]
    general: Sequence[TokenRow]
    questions: Sequence[GoldenQuestion]
    replies: Sequence[ReplyTask]
    prompts: Sequence[Request]
    skills: Sequence[SkillTask]
    held_out: Mapping[str, HeldOutRow]
    trained: Support


def set_exam(
    base: Base,
    trained: Sequence[Row],
    validation: Sequence[Row],
    test: Sequence[Row],
    questions: Sequence[GoldenQuestion],
) -> Exam:
    """The rows as tokens, the prompts of test rows that end with an answer, and the bundled general texts and tasks."""
    general = [
        Row(f"general-{number}", Origin("general text", number), text=text)
        for number, text in enumerate(general_texts(), start=1)
    ]
    answered = [row for row in test if _is_reply(row)][:MOST_REPLIES]
    tokens = base.tokens(test)
    return Exam(
        validation=base.tokens(validation),
        test=tokens,
        general=base.tokens(general),
        questions=questions,
        replies=[ReplyTask(row.id, _asked(row), row.messages[-1]["content"]) for row in answered],
        prompts=[row.messages[:-1] for row in answered],
        skills=skill_tasks(),
        held_out={row.id: _held_out(base, row, encoded) for row, encoded in zip(test, tokens, strict=True)},
        trained=_trained_support(trained),
    )


def measure_models(project: Project, base: Base, exam: Exam, models: Sequence[str], timed: str) -> dict[str, Measured]:
    """Each model on the whole exam, by its id; single answers are timed for the model `timed`."""
    generator = RunsGenerator(project, base)
    measured = {}
    for model in models:
        test, validation, general = _losses(project, base, model, (exam.test, exam.validation, exam.general))
        settings, system = project.recipe.evaluation, project.recipe.data.system
        asked = [conversation(system, {"role": "user", "content": one.question}) for one in exam.questions]
        tasks = [conversation(system, {"role": "user", "content": one.prompt}) for one in exam.skills]
        answers = _ask(project, generator, model, [*asked, *exam.prompts], most=settings.max_new_tokens)
        solved = _ask(project, generator, model, tasks, most=min(settings.max_new_tokens, SKILL_TOKENS))
        measured[model] = Measured(
            model,
            test=test,
            validation=validation,
            general=general,
            answers=score_answers(exam.questions, answers[: len(asked)], exam.trained),
            replies=[score_reply(*pair) for pair in zip(exam.replies, answers[len(asked) :], strict=True)],
            skills=score_skills(exam.skills, solved),
            seconds=_time(project, generator, model, asked[:TIMED_QUESTIONS]) if model == timed else (),
        )
    return measured


def measure_base(project: Project, base: Base, exam: Exam) -> Measured:
    """General text and skills of the base model alone."""
    bare = Exam((), (), exam.general, (), (), (), exam.skills, {}, exam.trained)
    return measure_models(project, base, bare, [base.artefact.id], timed="")[base.artefact.id]


def find_tested_leaks(trained: Sequence[Row], test: Sequence[Row], questions: Sequence[GoldenQuestion]) -> list[Leak]:
    """Test rows and golden questions that are like rows which the run was trained on."""
    asked = [
        Row(f"question-{number}", Origin("question", number), text=one.question)
        for number, one in enumerate(questions, start=1)
    ]
    tested = [*test, *asked]
    leaks = find_leaks(enumerate(trained), tested).leaks
    return [Leak(_name(tested[leak.held_out]), _name(trained[leak.known]), leak.likeness) for leak in leaks]


def _name(row: Row) -> str:
    return (
        f"{row.origin.file} {row.origin.row}"
        if row.id.startswith("question-")
        else f"{row.origin.file} row {row.origin.row}"
    )


def _trained_support(rows: Sequence[Row]) -> Support:
    """What the model was trained to say, and the system prompt. Customers may ask about anything: their turns add
    names, but support no value."""
    turns = [message for row in rows for message in row.messages]
    said = [turn["content"] for turn in turns if turn["role"] != "user"]
    support = Support.of([*dict.fromkeys(said), *(row.text for row in rows if row.text)])
    return support.with_words_of(turn["content"] for turn in turns if turn["role"] == "user")


def _is_reply(row: Row) -> bool:
    """Whether the row ends with an answer in words to a customer's turn."""
    if len(row.messages) < 2 or row.tools:
        return False
    *_, asked, answered = row.messages
    return asked["role"] == "user" and answered["role"] == "assistant" and bool(answered["content"].strip())


def _asked(row: Row) -> str:
    return row.messages[-2]["content"]


def _held_out(base: Base, row: Row, encoded: TokenRow) -> HeldOutRow:
    text = spoken(row)
    guess = guess_language(text, ())
    targets = [token for token, target in zip(encoded.input_ids, encoded.targets, strict=True) if target]
    written = base.tokenizer.decode(targets, skip_special_tokens=True)
    return HeldOutRow(
        row.id, row.origin.file, guess.likeliest if guess else "", count_words(text), len(written.encode())
    )


def _losses(project: Project, base: Base, model: str, splits: Sequence[Sequence[TokenRow]]) -> list[list[RowLoss]]:
    """The losses of each split's rows."""
    project.reporter.say(f"measuring the loss of {model}")
    is_base = model == base.artefact.id
    loss = RowsLoss(base.load() if is_base else load_trained(run_folder(project, model), base.load, base.dtype))
    return [loss.row_losses(rows) for rows in splits]


def _ask(
    project: Project, generator: RunsGenerator, model: str, prompts: Sequence[Request], most: int
) -> list[Completion]:
    """Greedy answers of at most `most` tokens, in the order of the prompts."""
    answers: list[Completion] = []
    for start in range(0, len(prompts), REQUESTS_AT_ONCE):
        some = prompts[start : start + REQUESTS_AT_ONCE]
        answers += complete(generator, [GenerationRequest(model, prompt, max_new_tokens=most) for prompt in some])
        project.reporter.progress(f"asking {model}", len(answers), len(prompts))
    return answers


def _time(project: Project, generator: RunsGenerator, model: str, prompts: Sequence[Request]) -> list[float]:
    """Seconds of each answer, asked one at a time."""
    seconds = []
    for prompt in prompts:
        begin = time.monotonic()
        complete(generator, [GenerationRequest(model, prompt, max_new_tokens=project.recipe.evaluation.max_new_tokens)])
        seconds.append(time.monotonic() - begin)
    return seconds
