"""What the recipe's task trains: the one place that goes from a task to model, objective and examples."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from transformers import PreTrainedModel

from luthier.core.artefacts import Artefact, Dataset
from luthier.core.errors import DatasetError, TrainingError
from luthier.core.recipe import Dtype, Task, TrainingSection
from luthier.core.rows import SPLITS, LabelledTokens, TokenRow
from luthier.models.classifier import Classifier
from luthier.models.losses import RowsLoss
from luthier.models.masking import HELD_OUT, MaskedLoss, MaskedRow, load_masked
from luthier.models.methods import load_trained, prepare
from luthier.models.quantized import quantize_linears, require_quantizer
from luthier.models.sources import BaseFiles
from luthier.pipeline.base import Base
from luthier.pipeline.engine import run_folder, task_of
from luthier.pipeline.labels import classifier_in, dataset_labels, labelled, new_classifier, readable
from luthier.pipeline.preferences import answer_pairs, rated_answers
from luthier.pipeline.prepare import dataset_rows, find_dataset
from luthier.pipeline.project import Project
from luthier.pipeline.replay import replayed
from luthier.training import (
    AnswerPair,
    CausalObjective,
    DpoObjective,
    Guess,
    KtoObjective,
    LabelObjective,
    MaskedObjective,
    Objective,
    OrpoObjective,
    RatedAnswer,
    Schedule,
    log_likelihoods,
    pack_capacity,
)
from luthier.training.objective import E, Example

ANSWERS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Lesson(Generic[E]):
    """A model made ready by the recipe's method, what it is to minimise, and the rows of two splits as its examples.

    `choices` is among how many a target is predicted: tokens or labels; `learnt` whether the model could predict any
    before, `new_weights` which weights are random. Rows of `replay` are mixed into `rows`. `start` must be called
    before the model changes, with all the rows that it will be measured on. `at_epoch` says what an example is in an
    epoch, counted from 0.
    """

    model: Any
    objective: Objective[E]
    rows: Sequence[E]
    validation: Sequence[E]
    choices: int
    learnt: bool
    start: Callable[[Sequence[E]], None] = lambda _: None
    replay: Sequence[E] = ()
    at_epoch: Callable[[E, int], E] = lambda example, _: example
    new_weights: Sequence[str] = ()

    @property
    def guess(self) -> Guess:
        return Guess(math.log(self.choices), self.learnt)

    def schedule(self, settings: TrainingSection, max_length: int, ranks: int = 1) -> Schedule[E]:
        """All steps of a training by so many processes on these rows."""
        capacity = pack_capacity([*self.rows, *self.replay], max_length)
        return Schedule.of(self.rows, settings, capacity, ranks, self.replay, self.at_epoch)


def training_dataset(project: Project, base: Base) -> Dataset:
    """`find_dataset`; TrainingError for a task whose rows the loop cannot train, ModelError where what the recipe's
    base weights need is not installed."""
    task = project.recipe.task
    if task not in LESSONS:
        raise TrainingError(f"rows of task {task} cannot be trained yet", allowed=f"one of {', '.join(LESSONS)}")
    require_quantizer(project.recipe.model.quantization)
    return find_dataset(project, base)


def open_lesson(project: Project, base: Base, dataset: Artefact) -> Lesson[Any]:
    """All that training needs of a dataset. Raises DatasetError when there is nothing to learn in it."""
    return LESSONS[project.recipe.task](project, base, dataset)


def load_run(project: Project, base: Base, run: Artefact) -> Any:
    """The model that a run trained, frozen. Raises ModelError when its files are gone or do not fit."""
    return load_saved(project, base, task_of(run), run_folder(project, run.id))


def load_saved(project: Project, base: Base, task: str, folder: Path) -> Any:
    """`load_run` of what `save_trained` has put into any folder."""
    if task == "classification":
        return classifier_in(project, base, folder).model
    if task == "masked_lm":
        seed = project.recipe.training.seed

        def load(files: BaseFiles, dtype: Dtype) -> PreTrainedModel:
            return load_masked(files, dtype, seed).model

        return load_trained(folder, lambda: load(base.files, base.dtype), base.dtype, load)
    return load_trained(folder, base.load, base.dtype)


def open_trial(project: Project, base: Base, dataset: Artefact) -> Lesson[Any]:
    """What tells of a model and rows whether they fit together: of preferences, the answers themselves. Which of two a
    model prefers says little of it before it has learnt."""
    task = project.recipe.task
    return LESSONS["chat" if task == "preference" else task](project, base, dataset)


def _lighter(project: Project, model: Any, keep: Sequence[str] = ()) -> Any:
    """The base model as it is trained on: with its weights in few bits, if the recipe says so."""
    if quantization := project.recipe.model.quantization:
        quantize_linears(model, keep, quantization)
    return model


def _causal(project: Project, base: Base, dataset: Artefact) -> Lesson[TokenRow]:
    train, held_out, test = (dataset_rows(project, dataset, split) for split in SPLITS)
    rows, validation = base.tokens(train), base.tokens(held_out)
    _refuse_nothing_to_learn(rows, dataset)
    model = prepare(_lighter(project, base.load()), project.recipe.adapter, project.recipe.training.seed)
    objective = CausalObjective(RowsLoss(model))
    words = model.config.get_text_config().vocab_size
    replay = replayed(project, base, [*held_out, *test]) if project.recipe.training.replay else ()
    learnt = not project.recipe.model.config
    return Lesson(model, objective, rows, validation, words, learnt, replay=replay)


def _classification(project: Project, base: Base, dataset: Artefact) -> Lesson[LabelledTokens]:
    labels = dataset_labels(project, dataset)
    new = new_classifier(project, base, labels)
    frozen = _lighter(project, new.model, new.modules)
    model = prepare(frozen, project.recipe.adapter, project.recipe.training.seed, new.weights)
    classifier = Classifier(model)
    rows, validation = (
        labelled(base, dataset_rows(project, dataset, split), labels, classifier.max_tokens, dataset.id)
        for split in ("train", "validation")
    )
    objective = LabelObjective(classifier.logits)
    return Lesson(model, objective, rows, validation, len(labels), learnt=not new.weights, new_weights=new.weights)


def _masked(project: Project, base: Base, dataset: Artefact) -> Lesson[MaskedRow]:
    seed = project.recipe.training.seed
    new = load_masked(base.files, base.dtype, seed)
    frozen = _lighter(project, new.model, new.modules)
    loss = MaskedLoss(prepare(frozen, project.recipe.adapter, seed, new.weights), base.tokenizer)
    texts, held_out = (
        readable(base.tokens(dataset_rows(project, dataset, split)), loss.max_tokens, dataset.id)
        for split in ("train", "validation")
    )
    _refuse_nothing_to_learn(texts, dataset)
    return Lesson(
        loss.model,
        MaskedObjective(loss),
        [MaskedRow(text, HELD_OUT) for text in texts if text.target_tokens],
        [MaskedRow(text, HELD_OUT) for text in held_out],
        loss.model.config.get_text_config().vocab_size,
        learnt=not new.weights and not project.recipe.model.config,
        at_epoch=lambda example, epoch: MaskedRow(example.row, f"{seed}/{epoch}"),
        new_weights=new.weights,
    )


def _preference(project: Project, base: Base, dataset: Artefact) -> Lesson[Any]:
    settings = project.recipe.training
    splits = [dataset_rows(project, dataset, split) for split in ("train", "validation")]
    rows: Sequence[AnswerPair] | Sequence[RatedAnswer]
    validation: Sequence[AnswerPair] | Sequence[RatedAnswer]
    if settings.preference_loss == "kto":
        longest = project.recipe.data.max_length
        rows, validation = (rated_answers(base, split, settings.seed, longest) for split in splits)
        liked = sum(example.liked for example in rows)
        project.reporter.say(f"{liked} answers were liked, {len(rows) - liked} were not")
    else:
        rows, validation = (answer_pairs(base, split) for split in splits)
        if left_out := sum(map(len, splits)) - len(rows) - len(validation):
            text = f"{left_out} rows have a rating and no rejected answer"
            project.reporter.say(f"{text}: {settings.preference_loss} leaves them out, kto takes both")
    _refuse_nothing_to_learn(rows, dataset)
    model = prepare(_lighter(project, base.load()), project.recipe.adapter, settings.seed)
    loss = RowsLoss(model)
    reference: dict[str, float] = {}

    def start(examples: Sequence[AnswerPair | RatedAnswer]) -> None:
        answers = [row for example in examples for row in example.rows] if settings.preference_loss != "orpo" else []
        for first in range(0, len(answers), ANSWERS_AT_ONCE):
            reference.update(log_likelihoods(loss, answers[first : first + ANSWERS_AT_ONCE]))
            done = min(first + ANSWERS_AT_ONCE, len(answers))
            project.reporter.progress("reading the answers before training", done, len(answers))

    objective: Objective[Any]
    if settings.preference_loss == "dpo":
        objective = DpoObjective(loss, reference, settings.beta)
    elif settings.preference_loss == "orpo":
        objective = OrpoObjective(loss, settings.beta)
    else:
        weights = settings.desirable_weight, settings.undesirable_weight
        objective = KtoObjective(loss, reference, settings.beta, *weights)
    return Lesson(model, objective, rows, validation, model.config.get_text_config().vocab_size, True, start)


def _refuse_nothing_to_learn(rows: Sequence[Example], dataset: Artefact) -> None:
    if not sum(row.target_tokens for row in rows):
        raise DatasetError("no training row has a token to learn", where=dataset.id)


LESSONS: Mapping[Task, Callable[[Project, Base, Artefact], Lesson[Any]]] = {
    "chat": _causal,
    "completion": _causal,
    "causal_lm": _causal,
    "masked_lm": _masked,
    "classification": _classification,
    "preference": _preference,
}
"""The tasks that can be trained."""
