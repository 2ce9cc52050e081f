"""Classification in a project: labels of its datasets, rows as a classifier's examples, classifiers of its runs."""

from collections.abc import Sequence

from luthier.core.artefacts import Artefact
from luthier.core.errors import DatasetError
from luthier.core.rows import SPLITS, LabelledTokens, Row
from luthier.models.classifier import Classifier, NewHead, labels_in, load_classifier, load_trained_classifier
from luthier.models.methods import load_trained, trained_folder
from luthier.pipeline.base import Base
from luthier.pipeline.engine import run_folder
from luthier.pipeline.prepare import dataset_rows
from luthier.pipeline.project import Project


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
    for row, tokens in zip(rows, base.tokens(rows), strict=True):
        if max_tokens is not None and len(tokens) > max_tokens:
            raise DatasetError(
                f"{row.id} has {len(tokens)} tokens, and the model reads {max_tokens}",
                where=where,
                allowed=f"data.max_length: {max_tokens}, then: luthier prepare",
            )
        if row.label not in numbers:
            raise DatasetError(f"the model does not know the label {row.label!r} of {row.id}", where=where)
        examples.append(LabelledTokens(row.id, tokens.input_ids, numbers[row.label]))
    return examples


def new_classifier(project: Project, base: Base, labels: Sequence[str]) -> NewHead:
    """The recipe's base model with a head for these labels."""
    tokenizer = base.tokenizer
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    return load_classifier(base.files, labels, base.dtype, project.recipe.training.seed, padding)


def run_classifier(project: Project, base: Base, run: str) -> Classifier:
    """The classifier that a run trained. Raises ModelError where its files are gone."""
    folder = run_folder(project, run)
    labels = labels_in(trained_folder(folder))
    assert labels is not None
    load = load_trained_classifier(labels, project.recipe.training.seed)
    return Classifier(load_trained(folder, lambda: new_classifier(project, base, labels).model, base.dtype, load))
