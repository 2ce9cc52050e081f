"""Losses and answers of models over one base, for an evaluation."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import chain, islice
from textwrap import shorten
from typing import Any, Literal, TypeVar

from luthier.core.errors import EvaluationError, GenerationError, RequestError
from luthier.core.generation import (
    Completion,
    GenerationEvent,
    GenerationRequest,
    Generator,
    complete,
    events_of,
)
from luthier.core.identity import content_id
from luthier.core.recipe import Dtype
from luthier.core.rows import Message, Origin, Row, RowLoss, TokenRow
from luthier.data import find_leaks, guess_language, spoken
from luthier.evaluation import (
    SAMPLES,
    TEMPERATURE,
    GoldenQuestion,
    HeldOutRow,
    Leak,
    Measured,
    ReplyTask,
    SkillTask,
    general_texts,
    refuse_broken,
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
from luthier.models.methods import load_trained, shares_base
from luthier.models.quantized import round_weights
from luthier.models.sources import BaseFiles
from luthier.pipeline.base import Base
from luthier.pipeline.engine import RunsGenerator, conversation, run_folder
from luthier.pipeline.kept_results import FORMAT, KeptResults, Recalling
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

SHOWN_OF_A_QUESTION = 80
"""Characters, in an error."""

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
    generator = RunsGenerator(project, base)
    examiner = _Examiner(project, base, exam, generator, results_of_base(project, base, generator))
    losses = examiner.losses(models)
    answers = examiner.ask(models, closely)
    return {model: examiner.measured(model, losses[model], answers[model], model == closely) for model in models}


def measure_base(project: Project, base: Base, exam: Exam) -> Measured:
    """General text and skills of the base model alone."""
    bare = Exam((), (), exam.general, (), (), (), exam.skills, {}, exam.trained)
    return measure_models(project, base, bare, [base.artefact.id], closely=None)[base.artefact.id]


def results_of_base(project: Project, base: Base, generator: RunsGenerator) -> KeptResults:
    """What earlier evaluations have found of the base model, with these weights and by these versions of what computes.

    A request's prompt comes from the template alone: the base model answers nothing for a task without one.
    """
    model = base.artefact.id
    versions = [version(package) for package in ("luthier", "torch", "transformers")]
    name = content_id("results", [FORMAT, base.dtype, generator.quantization(model), *versions])
    path = project.workspace.measured(model) / f"{name}.jsonl"
    return KeptResults(model, path, lambda messages: base.template.prompt_ids(messages))


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


Part = Literal["questions", "replies", "skills", "otherwise", "again"]


@dataclass(frozen=True, slots=True)
class _Examiner:
    """Puts the exam to models; of the base model, what is `kept` is not asked again."""

    project: Project
    base: Base
    exam: Exam
    generator: RunsGenerator
    kept: KeptResults

    def measured(
        self, model: str, losses: Sequence[list[RowLoss]], answers: Mapping[Part, list[Completion]], closely: bool
    ) -> Measured:
        """What becomes of a model's losses and answers. The model that is looked at closely is timed now."""
        exam = self.exam
        test, validation, general, *pairs = losses
        scores = score_answers(exam.questions, answers["questions"], exam.trained)
        few = _evenly(scores, STEADINESS_QUESTIONS) if closely else []
        asked = [GoldenQuestion(score.question, score.expected) for score in few]
        drawn = [completion.text for completion in answers["again"]]
        timed = exam.questions[:TIMED_QUESTIONS] if closely else []
        return Measured(
            model,
            test=test,
            validation=validation,
            general=general,
            preferences=score_preferences(*pairs),
            answers=scores,
            replies=[score_reply(*pair) for pair in zip(exam.replies, answers["replies"], strict=True)],
            skills=score_skills(exam.skills, answers["skills"]),
            variants=score_variants(asked, [score.recalled for score in few], answers["otherwise"]),
            sampled=[
                score_sampled(score.question, drawn[place * SAMPLES : (place + 1) * SAMPLES], score.recalled)
                for place, score in enumerate(few)
            ],
            seconds=self._time(model, [self._conversation(one.question) for one in timed]),
        )

    def ask(self, models: Sequence[str], closely: str | None) -> dict[str, dict[Part, list[Completion]]]:
        """The answers of all models to all parts of the exam.

        All is asked at once: the engine fills the place of each answer that ends, and its batch runs empty only once.
        """
        asked = {model: self._requests(model, model == closely) for model in models}
        requests = [request for parts in asked.values() for part in parts.values() for request in part]
        generator = Recalling(self.generator, self.kept)
        answers = iter(answer_all(self.project, generator, requests, f"asking {' and '.join(models)}"))
        return {
            model: {part: list(islice(answers, len(requests))) for part, requests in parts.items()}
            for model, parts in asked.items()
        }

    def _requests(self, model: str, closely: bool) -> dict[Part, list[GenerationRequest]]:
        """What a model is asked; each drawn answer has a seed of its own."""
        exam, most = self.exam, self.project.recipe.evaluation.max_new_tokens
        few = _evenly(exam.questions, STEADINESS_QUESTIONS) if closely else []

        def greedy(prompts: Iterable[Request], most: int = most) -> list[GenerationRequest]:
            return [GenerationRequest(model, prompt, max_new_tokens=most) for prompt in prompts]

        drawn = (self._conversation(one.question) for one in few for _ in range(SAMPLES))
        return {
            "questions": greedy(self._conversation(one.question) for one in exam.questions),
            "replies": greedy(exam.prompts),
            "skills": greedy((self._conversation(one.prompt) for one in exam.skills), min(most, SKILL_TOKENS)),
            "otherwise": greedy(map(self._conversation, reworded(few))),
            "again": [
                GenerationRequest(model, prompt, max_new_tokens=most, temperature=TEMPERATURE, seed=number)
                for number, prompt in enumerate(drawn)
            ],
        }

    def _conversation(self, text: str) -> Request:
        return conversation(self.project.recipe.data.system, {"role": "user", "content": text})

    def losses(self, models: Sequence[str]) -> dict[str, list[list[RowLoss]]]:
        """Of each model's test, validation and general rows, and of the chosen and the rejected answers of pairs.

        The base model comes last: under an adapter that has been loaded by then lie its weights, proven already.
        """
        base, under_adapters = self.kept.model, list[RowsLoss]()
        runs_first = sorted(models, key=lambda model: model == base)
        found = {model: self._split_losses(model, under_adapters) for model in runs_first}
        return {model: found[model] for model in models}

    def _split_losses(self, model: str, under_adapters: list[RowsLoss]) -> list[list[RowLoss]]:
        exam = self.exam
        pairs = [pair.chosen for pair in exam.pairs], [pair.rejected for pair in exam.pairs]
        splits = (exam.test, exam.validation, exam.general, *pairs)
        rows, compute = list(chain.from_iterable(splits)), partial(self._losses, model, under_adapters)
        found = self.kept.losses(rows, compute) if model == self.kept.model else compute(rows)
        refuse_broken(found, model)  # before it is asked anything, which takes longest
        losses = iter(found)
        return [list(islice(losses, len(split))) for split in splits]

    def _losses(self, model: str, under_adapters: list[RowsLoss], rows: Sequence[TokenRow]) -> list[RowLoss]:
        """`under_adapters` are losses of models that have the base model's weights; this one joins them if it does."""
        self.project.reporter.say(f"measuring the loss of {model}")
        quantization = self.generator.quantization(model)

        def as_answering(loaded: Any) -> Any:
            """With the weights that the model answers with: the gates judge what is served."""
            return round_weights(loaded, quantization) if quantization else loaded

        def load_whole(files: BaseFiles, dtype: Dtype) -> Any:
            return as_answering(load_model(files, dtype))

        if model != self.base.artefact.id:
            folder, base = run_folder(self.project, model), self.base
            loss = RowsLoss(load_trained(folder, lambda: as_answering(base.load()), base.dtype, load_whole))
            if shares_base(folder) and not under_adapters:
                under_adapters.append(loss)
            return loss.row_losses(rows)
        if under_adapters:
            with under_adapters[0].without_adapter():
                return under_adapters[0].row_losses(rows)
        return RowsLoss(as_answering(self.base.load())).row_losses(rows)

    def _time(self, model: str, prompts: Sequence[Request]) -> list[float]:
        """Seconds of each answer, asked one at a time, with nothing kept of what was asked before."""
        seconds = []
        most = self.project.recipe.evaluation.max_new_tokens
        for number, prompt in enumerate(prompts):
            alone = GenerationRequest(model, prompt, max_new_tokens=most, cache_salt=f"{TIMED} {number}")
            begin = time.monotonic()
            complete(self.generator, [alone])
            seconds.append(time.monotonic() - begin)
        return seconds


def answer_all(
    project: Project, generator: Generator, requests: Sequence[GenerationRequest], what: str
) -> list[Completion]:
    """The answers, in the order of the requests; how many have ended is told as progress of `what`."""
    return complete(_Told(generator, project, what), requests)


@dataclass(frozen=True, slots=True)
class _Told:
    """A generator that tells how many answers have ended. Raises EvaluationError, which names model and question, where
    none can be computed."""

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
                if isinstance(event.error, GenerationError | RequestError):
                    asked, error = requests[event.index], event.error
                    question = shorten(asked.messages[-1]["content"], SHOWN_OF_A_QUESTION, placeholder=" …")
                    what = f"no answer to {question!r}: {error.what}"
                    raise EvaluationError(what, where=asked.model, allowed=error.allowed)
                if event.is_last:
                    done += 1
                    self.project.reporter.progress(self.what, done, len(requests))
                yield event


def _evenly(values: Sequence[Value], most: int) -> Sequence[Value]:
    """At most `most` of them, from all over the list."""
    return values[:: max(1, -(-len(values) // most))]
