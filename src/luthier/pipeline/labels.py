"""Classification in a project: labels of its datasets, rows as a classifier's examples, classifiers of its runs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from luthier.core.artefacts import Artefact
from luthier.core.errors import DatasetError, EvaluationError
from luthier.core.rows import SPLITS, LabelledTokens, Row, RowLoss, TokenRow
from luthier.evaluation import LabelScore, Measured
from luthier.models.classifier import Classifier, labels_in, load_classifier, load_trained_classifier
from luthier.models.loading import NewHead
from luthier.models.methods import load_trained, trained_folder
from luthier.pipeline.base import Base
from luthier.pipeline.engine import run_folder
from luthier.pipeline.prepare import dataset_rows
from luthier.pipeline.project import Project

Numbers = npt.NDArray[np.float64]


def dataset_labels(project: Project, dataset: Artefact) -> tuple[str, ...]:
    """The labels of a dataset in all its splits, sorted. Raises DatasetError where there are fewer than two."""
    labels = sorted({row.label for split in SPLITS for row in dataset_rows(project, dataset, split) if row.label})
    if len(labels) < 2:
        raise DatasetError(
            "there is nothing to tell apart", where=dataset.id, allowed="rows with two labels or more, see: data stats"
        )
    return tuple(labels)


def labelled(
    base: Base, rows: Sequence[Row], labels: Sequence[str], max_tokens: int | None, where: str
) -> list[LabelledTokens]:
    """Rows as token ids with the number of their label among `labels`.

    Raises DatasetError for a text of more than `max_tokens`, and for a label that is not among them.
    """
    numbers = {label: number for number, label in enumerate(labels)}
    examples = []
    for row, tokens in zip(rows, readable(base.tokens(rows), max_tokens, where), strict=True):
        if row.label not in numbers:
            raise DatasetError(f"the model does not know the label {row.label!r} of {row.id}", where=where)
        examples.append(LabelledTokens(row.id, tokens.input_ids, numbers[row.label]))
    return examples


def readable(texts: Sequence[TokenRow], max_tokens: int | None, where: str) -> Sequence[TokenRow]:
    """The texts. Raises DatasetError for one of more than `max_tokens`, which the model cannot read."""
    longest = max(texts, key=len, default=None)
    if longest is not None and max_tokens is not None and len(longest) > max_tokens:
        raise DatasetError(
            f"{longest.id} has {len(longest)} tokens, and the model reads {max_tokens}",
            where=where,
            allowed=f"data.max_length: {max_tokens}, then: luthier prepare",
        )
    return texts


def new_classifier(project: Project, base: Base, labels: Sequence[str]) -> NewHead:
    """The recipe's base model with a head for these labels."""
    tokenizer = base.tokenizer
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return load_classifier(base.files, labels, base.dtype, project.recipe.training.seed, padding)


def measure_labels(
    project: Project, base: Base, dataset: Artefact, held_out: Mapping[str, Sequence[Row]], models: Sequence[str]
) -> dict[str, Measured]:
    """Each model on the validation and test rows of a dataset, by its id.

    The base model knows no labels: what stands for it gives each text the commonest label of the training rows, and
    expects all of them as often as they come in these (add one, Laplace). Raises EvaluationError for a run that knows
    other labels than these rows have.
    """
    labels = dataset_labels(project, dataset)
    validation, test = held_out["validation"], held_out["test"]
    measured = {}
    for model in models:
        project.reporter.say(f"measuring the labels of {model}")
        if model == base.artefact.id:
            frequencies = Counter(row.label for row in dataset_rows(project, dataset, "train"))
            guess = np.log([frequencies[label] + 1 for label in labels]) - np.log(frequencies.total() + len(labels))
            scores = {split: np.tile(guess, (len(rows), 1)) for split, rows in held_out.items()}
        else:
            classifier = run_classifier(project, base, model)
            if set(classifier.labels) != set(labels):
                other = sorted(set(classifier.labels) ^ set(labels))
                raise EvaluationError(
                    f"{model} was trained for other labels than {dataset.id} has, such as {other[0]}",
                    allowed=f"--against {base.artefact.id}",
                )
            order = [classifier.labels.index(label) for label in labels]
            scores = {
                split: _log_probabilities(base, classifier, rows, model)[:, order] for split, rows in held_out.items()
            }
        given, sure = scores["test"].argmax(axis=1), np.exp(scores["test"].max(axis=1))
        measured[model] = Measured(
            model,
            test=_losses(test, scores["test"], labels),
            validation=_losses(validation, scores["validation"], labels),
            labelled=[
                LabelScore(row.id, str(row.label), labels[one], float(confidence))
                for row, one, confidence in zip(test, given, sure, strict=True)
            ],
            labels=labels,
        )
    return measured


def _log_probabilities(base: Base, classifier: Classifier, rows: Sequence[Row], where: str) -> Numbers:
    """[rows, labels] in the order of the classifier."""
    examples = labelled(base, rows, classifier.labels, classifier.max_tokens, where)
    return classifier.log_probabilities([example.input_ids for example in examples]).numpy()


def _losses(rows: Sequence[Row], scores: Numbers, labels: Sequence[str]) -> list[RowLoss]:
    given = scores.argmax(axis=1)
    numbers = [labels.index(str(row.label)) for row in rows]
    return [
        RowLoss(row.id, -float(scores[place, number]), 1, int(given[place] == number))
        for place, (row, number) in enumerate(zip(rows, numbers, strict=True))
    ]


def run_classifier(project: Project, base: Base, run: str) -> Classifier:
    """The classifier that a run trained. Raises ModelError where its files are gone."""
    return classifier_in(project, base, run_folder(project, run))


def classifier_in(project: Project, base: Base, folder: Path) -> Classifier:
    """The classifier that `save_trained` has put into a folder. Raises ModelError where its files are gone."""
    labels = labels_in(trained_folder(folder))
    assert labels is not None
    load = load_trained_classifier(labels, project.recipe.training.seed)
    return Classifier(load_trained(folder, lambda: new_classifier(project, base, labels).model, base.dtype, load))
