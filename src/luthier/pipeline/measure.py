"""Losses and answers of models over one base, for an evaluation."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from luthier.core.generation import (
    Completion,
    GenerationEvent,
    GenerationRequest,
    Generator,
    complete,
    events_of,
)
from luthier.core.recipe import Dtype
from luthier.core.rows import Message, Origin, Row, RowLoss, TokenRow
from luthier.data import find_leaks, guess_language, spoken
from luthier.evaluation import (
    SAMPLES,
    TEMPERATURE,
    AnswerScore,
    GoldenQuestion,
    HeldOutRow,
    Leak,
    Measured,
    ReplyTask,
    SampledScore,
    SkillTask,
    VariantScore,
    general_texts,
    reworded,
    score_answers,
    score_preferences,
    score_reply,
    score_sampled,
    score_skills,
    score_variants,
    skill_tasks,
)
from luthier.models.loading import load_model
from luthier.models.losses import RowsLoss
from luthier.models.methods import load_trained
from luthier.models.quantized import round_weights
from luthier.models.sources import BaseFiles
from luthier.pipeline.base import Base
from luthier.pipeline.engine import RunsGenerator, conversation, run_folder
from luthier.pipeline.preferences import answer_pairs
from luthier.pipeline.project import Project
from luthier.text.overlap import count_words
from luthier.text.unsupported import Support
from luthier.training import AnswerPair

MOST_REPLIES = 64
"""Test rows whose answers are compared with the person's; more would make the evaluation long."""
SKILL_TOKENS = 32
"""Enough for any of the bundled tasks, which ask for a word, a number, a line of JSON or a sentence."""
TIMED_QUESTIONS = 5
TIMED = "timed"
"""The questions to time have been asked before: under a salt of their own, their prompts are computed again."""
MOST_TEXTS = 50_000
"""Training texts whose facts count as known; reading so many takes about ten seconds."""
STEADINESS_QUESTIONS = 24
"""Golden questions that are asked otherwise and again; each costs a dozen answers."""

Request = tuple[Message, ...]
Value = TypeVar("Value")


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
    pairs: Sequence[AnswerPair] = ()


def set_exam(
    base: Base,
    trained: Sequence[Row],
    validation: Sequence[Row],
    test: Sequence[Row],
    questions: Sequence[GoldenQuestion],
    longest: int,
) -> Exam:
    """The rows as tokens, the prompts of test rows that end with an answer, and the bundled general texts and tasks.

    Rows that people disliked are left out: a model need not predict them. So are prompts of more than `longest` tokens:
    the model would have no room to answer.
    """
    validation, test = ([row for row in rows if row.rating != "down"] for rows in (validation, test))
    fits = (row for row in test if _is_reply(row) and len(base.template.prompt_ids(row.messages[:-1])) <= longest)
    answered = list(islice(fits, MOST_REPLIES))
    tokens = base.tokens(test)
    return Exam(
        validation=base.tokens(validation),
        test=tokens,
        general=base.tokens(general_rows()),
        questions=questions,
        replies=[ReplyTask(row.id, _asked(row), row.messages[-1]["content"]) for row in answered],
        prompts=[row.messages[:-1] for row in answered],
        skills=skill_tasks(),
        held_out={row.id: held_out_row(base, row, encoded) for row, encoded in zip(test, tokens, strict=True)},
        trained=_trained_support(trained),
        pairs=answer_pairs(base, test),
    )


def measure_models(
    project: Project, base: Base, exam: Exam, models: Sequence[str], closely: str | None
) -> dict[str, Measured]:
    """Each model on the whole exam, by its id. The model `closely` is also timed, asked otherwise and asked again."""
    examiner = _Examiner(project, base, exam, RunsGenerator(project, base))
    return {model: examiner.measure(model, model == closely) for model in models}


def measure_base(project: Project, base: Base, exam: Exam) -> Measured:
    """General text and skills of the base model alone."""
    bare = Exam((), (), exam.general, (), (), (), exam.skills, {}, exam.trained)
    return measure_models(project, base, bare, [base.artefact.id], closely=None)[base.artefact.id]


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
    names, but support no value. Of more than `MOST_TEXTS` different texts as many are read, from all over."""
    turns = [message for row in rows for message in row.messages]
    said = [turn["content"] for turn in turns if turn["role"] != "user"] + [row.text for row in rows if row.text]
    asked = [turn["content"] for turn in turns if turn["role"] == "user"]
    return Support.of(_evenly(_distinct(said), MOST_TEXTS)).with_words_of(_evenly(_distinct(asked), MOST_TEXTS))


def _distinct(texts: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(texts))


def _is_reply(row: Row) -> bool:
    """Whether the row ends with an answer in words to a customer's turn."""
    if len(row.messages) < 2 or row.tools:
        return False
    *_, asked, answered = row.messages
    return asked["role"] == "user" and answered["role"] == "assistant" and bool(answered["content"].strip())


def _asked(row: Row) -> str:
    return row.messages[-2]["content"]


def general_rows() -> list[Row]:
    """The bundled texts that tell what a model has forgotten."""
    return [
        Row(f"general-{number}", Origin("general text", number), text=text)
        for number, text in enumerate(general_texts(), start=1)
    ]


def held_out_row(base: Base, row: Row, encoded: TokenRow) -> HeldOutRow:
    """What is known of a test row whose tokens these are."""
    text = spoken(row)
    guess = guess_language(text, ())
    targets = [token for token, target in zip(encoded.input_ids, encoded.targets, strict=True) if target]
    written = base.tokenizer.decode(targets, skip_special_tokens=True)
    return HeldOutRow(
        row.id, row.origin.file, guess.likeliest if guess else "", count_words(text), len(written.encode())
    )


@dataclass(frozen=True, slots=True)
class _Examiner:
    """Puts the exam to models, one after the other."""

    project: Project
    base: Base
    exam: Exam
    generator: RunsGenerator

    def measure(self, model: str, closely: bool) -> Measured:
        exam, most = self.exam, self.project.recipe.evaluation.max_new_tokens
        answers_of_pairs = [pair.chosen for pair in exam.pairs], [pair.rejected for pair in exam.pairs]
        test, validation, general, *pairs = self._losses(
            model, (exam.test, exam.validation, exam.general, *answers_of_pairs)
        )
        asked = [self._conversation(one.question) for one in exam.questions]
        tasks = [self._conversation(one.prompt) for one in exam.skills]
        completions = self._ask(model, [*asked, *exam.prompts], most)
        answers = score_answers(exam.questions, completions[: len(asked)], exam.trained)
        few = _evenly(answers, STEADINESS_QUESTIONS) if closely else []
        return Measured(
            model,
            test=test,
            validation=validation,
            general=general,
            preferences=score_preferences(*pairs),
            answers=answers,
            replies=[score_reply(*pair) for pair in zip(exam.replies, completions[len(asked) :], strict=True)],
            skills=score_skills(exam.skills, self._ask(model, tasks, min(most, SKILL_TOKENS))),
            variants=self._variants(model, few),
            sampled=self._sampled(model, few),
            seconds=self._time(model, asked[:TIMED_QUESTIONS]) if closely else (),
        )

    def _conversation(self, text: str) -> Request:
        return conversation(self.project.recipe.data.system, {"role": "user", "content": text})

    def _losses(self, model: str, splits: Sequence[Sequence[TokenRow]]) -> list[list[RowLoss]]:
        """The losses of each split's rows."""
        self.project.reporter.say(f"measuring the loss of {model}")
        quantization = self.generator.quantization(model)

        def as_answering(loaded: Any) -> Any:
            """With the weights that the model answers with: the gates judge what is served."""
            return round_weights(loaded, quantization) if quantization else loaded

        def load_whole(files: BaseFiles, dtype: Dtype) -> Any:
            return as_answering(load_model(files, dtype))

        if model == self.base.artefact.id:
            loaded = as_answering(self.base.load())
        else:
            folder, base = run_folder(self.project, model), self.base
            loaded = load_trained(folder, lambda: as_answering(base.load()), base.dtype, load_whole)
        loss = RowsLoss(loaded)
        return [loss.row_losses(rows) for rows in splits]

    def _ask(
        self, model: str, prompts: Sequence[Request], most: int, temperature: float = 0.0, what: str = "asking"
    ) -> list[Completion]:
        """Answers of at most `most` tokens, in the order of the prompts; drawn ones have seeds of their own.

        All are asked at once: the engine fills the place of each answer that ends.
        """
        requests = [
            GenerationRequest(model, prompt, max_new_tokens=most, temperature=temperature, seed=number)
            for number, prompt in enumerate(prompts)
        ]
        return answer_all(self.project, self.generator, requests, f"{what} {model}")

    def _variants(self, model: str, plainly: Sequence[AnswerScore]) -> list[VariantScore]:
        """The questions of these answers, asked in other ways."""
        questions = [GoldenQuestion(score.question, score.expected) for score in plainly]
        prompts = [self._conversation(text) for text in reworded(questions)]
        most = self.project.recipe.evaluation.max_new_tokens
        completions = self._ask(model, prompts, most, what="asking otherwise")
        return score_variants(questions, [score.recalled for score in plainly], completions)

    def _sampled(self, model: str, plainly: Sequence[AnswerScore]) -> list[SampledScore]:
        """The questions of these answers, `SAMPLES` answers drawn for each."""
        prompts = [self._conversation(score.question) for score in plainly for _ in range(SAMPLES)]
        most = self.project.recipe.evaluation.max_new_tokens
        texts = [drawn.text for drawn in self._ask(model, prompts, most, TEMPERATURE, "asking again")]
        return [
            score_sampled(score.question, texts[place * SAMPLES : (place + 1) * SAMPLES], score.recalled)
            for place, score in enumerate(plainly)
        ]

    def _time(self, model: str, prompts: Sequence[Request]) -> list[float]:
        """Seconds of each answer, asked one at a time, with nothing that was kept when it was asked before."""
        seconds = []
        for prompt in prompts:
            begin = time.monotonic()
            most = self.project.recipe.evaluation.max_new_tokens
            complete(self.generator, [GenerationRequest(model, prompt, max_new_tokens=most, cache_salt=TIMED)])
            seconds.append(time.monotonic() - begin)
        return seconds


def answer_all(
    project: Project, generator: Generator, requests: Sequence[GenerationRequest], what: str
) -> list[Completion]:
    """The answers, in the order of the requests; how many have ended is told as progress of `what`."""
    return complete(_Told(generator, project, what), requests)


@dataclass(frozen=True, slots=True)
class _Told:
    """A generator that tells how many answers have ended."""

    generator: Generator
    project: Project
    what: str

    @property
    def models(self) -> tuple[str, ...]:
        return self.generator.models

    def stream(self, requests: Sequence[GenerationRequest]) -> Iterator[GenerationEvent]:
        """See `Generator.stream`."""
        done = 0
        with closing(events_of(self.generator, requests)) as events:
            for event in events:
                if event.is_last:
                    done += 1
                    self.project.reporter.progress(self.what, done, len(requests))
                yield event


def _evenly(values: Sequence[Value], most: int) -> Sequence[Value]:
    """At most `most` of them, from all over the list."""
    return values[:: max(1, -(-len(values) // most))]
