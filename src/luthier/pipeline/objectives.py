"""What the recipe's task trains: the one place that goes from a task to model, objective and examples."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from luthier.core.artefacts import Artefact, Dataset
from luthier.core.errors import DatasetError, TrainingError
from luthier.core.recipe import Task
from luthier.core.rows import LabelledTokens, TokenRow
from luthier.models.classifier import Classifier
from luthier.models.losses import RowsLoss
from luthier.models.methods import prepare
from luthier.pipeline.base import Base
from luthier.pipeline.labels import dataset_labels, labelled, new_classifier
from luthier.pipeline.prepare import dataset_rows, find_dataset
from luthier.pipeline.project import Project
from luthier.training import CausalObjective, Guess, LabelObjective, Objective
from luthier.training.objective import E


@dataclass(frozen=True, slots=True)
class Lesson(Generic[E]):
    """A model made ready by the recipe's method, what it is to minimise, and the rows of two splits as its examples.

    `choices` is among how many a target is predicted: tokens or labels; `learnt` whether the model could predict any
    before.
    """

    model: Any
    objective: Objective[E]
    rows: Sequence[E]
    validation: Sequence[E]
    choices: int
    learnt: bool

    @property
    def guess(self) -> Guess:
        return Guess(math.log(self.choices), self.learnt)


def training_dataset(project: Project, base: Base) -> Dataset:
    """`find_dataset`; TrainingError for a task whose rows the loop cannot train."""
    task = project.recipe.task
    if task not in LESSONS:
        raise TrainingError(f"rows of task {task} cannot be trained yet", allowed=f"one of {', '.join(LESSONS)}")
    return find_dataset(project, base)


def open_lesson(project: Project, base: Base, dataset: Artefact) -> Lesson[Any]:
    """All that training needs of a dataset. Raises DatasetError when there is nothing to learn in it."""
    return LESSONS[project.recipe.task](project, base, dataset)


def _causal(project: Project, base: Base, dataset: Artefact) -> Lesson[TokenRow]:
    rows, validation = (base.tokens(dataset_rows(project, dataset, split)) for split in ("train", "validation"))
    if not sum(row.target_tokens for row in rows):
        raise DatasetError("no training row has a token to learn", where=dataset.id)
    model = prepare(base.load(), project.recipe.adapter, project.recipe.training.seed)
    objective = CausalObjective(RowsLoss(model))
    return Lesson(model, objective, rows, validation, model.config.get_text_config().vocab_size, learnt=True)


def _classification(project: Project, base: Base, dataset: Artefact) -> Lesson[LabelledTokens]:
    labels = dataset_labels(project, dataset)
    new = new_classifier(project, base, labels)
    model = prepare(new.model, project.recipe.adapter, project.recipe.training.seed, new.modules)
    classifier = Classifier(model)
    rows, validation = (
        labelled(base, dataset_rows(project, dataset, split), labels, classifier.max_tokens, dataset.id)
        for split in ("train", "validation")
    )
    objective = LabelObjective(classifier.logits)
    return Lesson(model, objective, rows, validation, len(labels), learnt=not new.modules)


LESSONS: Mapping[Task, Callable[[Project, Base, Artefact], Lesson[Any]]] = {
    "chat": _causal,
    "completion": _causal,
    "classification": _classification,
}
"""The tasks that can be trained."""
