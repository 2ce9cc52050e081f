"""`luthier tokenizer`: how well a tokenizer fits the rows, one of one's own, and words of the domain for the base's."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from luthier.core.errors import DatasetError, ModelError
from luthier.core.files import atomic_directory
from luthier.data import iterate_rows
from luthier.models.fertility import Fertility, fertility
from luthier.models.loading import load_tokenizer, tokenizer_in
from luthier.models.sources import BaseFiles
from luthier.models.tokenizer_training import Algorithm
from luthier.models.tokenizer_training import train_tokenizer as train
from luthier.models.vocabulary import DomainWord, domain_words, extend_base, listed_words
from luthier.pipeline.base import base_files
from luthier.pipeline.datasets import dataset_folder
from luthier.pipeline.project import Project

FEWEST_OCCURRENCES = 5
"""A word that is rarer is not worth a token: its row of the embeddings would hardly be trained."""


@dataclass(frozen=True, slots=True)
class MeasuredTokenizer:
    """A tokenizer, how many tokens it knows, and what it makes of the training rows."""

    name: str
    vocabulary: int
    fertility: Fertility

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "vocabulary": self.vocabulary, **self.fertility.to_json()}


@dataclass(frozen=True, slots=True)
class FertilityReport:
    """The base model's tokenizer, and another one where there is one, on the training rows of a dataset."""

    dataset: str
    base: MeasuredTokenizer
    other: MeasuredTokenizer | None

    def to_json(self) -> dict[str, Any]:
        other = self.other.to_json() if self.other else None
        return {"dataset": self.dataset, "base": self.base.to_json(), "other": other}


@dataclass(frozen=True, slots=True)
class TrainedTokenizer:
    """A new tokenizer in `path`, beside the base model's."""

    path: Path
    report: FertilityReport

    def to_json(self) -> dict[str, Any]:
        return {"path": str(self.path), **self.report.to_json()}


@dataclass(frozen=True, slots=True)
class ExtendedVocabulary:
    """A base model in `path` with `words` as tokens; `base` is how the recipe may name it."""

    path: Path
    base: str
    words: tuple[DomainWord, ...]
    report: FertilityReport

    @property
    def saved_by_word(self) -> list[tuple[str, int, int]]:
        """Each word with its occurrences and the tokens saved, with and without a space before it taken together."""
        occurrences: Counter[str] = Counter()
        saved: Counter[str] = Counter()
        for word in self.words:
            occurrences[word.word] += word.occurrences
            saved[word.word] += word.saved
        return [(word, occurrences[word], count) for word, count in saved.most_common()]

    def to_json(self) -> dict[str, Any]:
        words = [word.to_json() for word in self.words]
        return {"path": str(self.path), "model_base": self.base, "words": words, **self.report.to_json()}


def report_fertility(
    project: Project, dataset: str | None = None, tokenizer: str | Path | None = None
) -> FertilityReport:
    """What the base model's tokenizer, and the one in folder `tokenizer`, make of a dataset's training rows.

    Raises DatasetError where there is nothing to measure, ModelError for a folder without a tokenizer.
    """
    folder = dataset_folder(project, dataset)
    return _compare(folder, base_files(project), Path(tokenizer) if tokenizer is not None else None)


def train_tokenizer(
    project: Project, kind: Algorithm, size: int, folder: str | Path, dataset: str | None = None
) -> TrainedTokenizer:
    """Learn a tokenizer of at most `size` tokens from a dataset's training rows; `folder` must not be there yet.

    transformers' AutoTokenizer loads it. Raises ModelError for a size that is too small, or where `folder` exists.
    """
    target, rows = _new(folder), dataset_folder(project, dataset)
    project.reporter.say(f"learning {size:,} tokens from {rows.name}")
    learned = train(training_texts(rows), kind, size)
    with atomic_directory(target) as partial:
        learned.save_pretrained(partial)
    return TrainedTokenizer(target, _compare(rows, base_files(project), target))


def extend_vocabulary(
    project: Project,
    folder: str | Path,
    words: int | None = None,
    listed: str | Path | None = None,
    dataset: str | None = None,
) -> ExtendedVocabulary:
    """Write the base model with words of the domain as tokens to `folder`, which must not be there yet.

    Exactly one of `words`, how many frequent words of a dataset's training rows, and `listed`, a file with a word a
    line, says which. Raises ModelError where that is not so, for a file that cannot be read, for words that cannot be
    tokens or are already, and where `folder` exists.
    """
    if (words is None) == (listed is None):
        raise ModelError("say which words", where="tokenizer extend", allowed="exactly one of --words and --list")
    target, rows, files = _new(folder), dataset_folder(project, dataset), base_files(project)
    chosen = _chosen_words(files, rows, words, Path(listed) if listed is not None else None)
    if not chosen:
        nothing = "each listed word is one token already" if listed else "no word is both frequent and split"
        raise ModelError(nothing, where=files.name, allowed="the base model as it is")
    project.reporter.say(f"writing {files.name} with {len(chosen):,} more tokens")
    extend_base(files, chosen, target)
    absolute, root = target.resolve(), project.workspace.root.resolve()
    base = absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else str(absolute)
    return ExtendedVocabulary(target, base, tuple(chosen), _compare(rows, files, target))


def training_texts(dataset: Path) -> Iterator[str]:
    """What is said in the training rows, a text a turn, in a stream; a system prompt that many rows share, once."""
    prompts: set[str] = set()
    for row, split in iterate_rows(dataset):
        if split != "train":
            continue
        if not row.messages:
            yield row.text
        for message in row.messages:
            if message["role"] == "system":
                if message["content"] in prompts:
                    continue
                prompts.add(message["content"])
            yield message["content"]


def _chosen_words(files: BaseFiles, rows: Path, words: int | None, listed: Path | None) -> list[DomainWord]:
    tokenizer = load_tokenizer(files)
    if listed is None:
        assert words is not None
        return domain_words(tokenizer, training_texts(rows), words, FEWEST_OCCURRENCES)
    return listed_words(tokenizer, training_texts(rows), _read_list(listed), str(listed))


def _read_list(path: Path) -> list[str]:
    """The words of a file, one a line; blank lines are passed over."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise ModelError(f"is not UTF-8 at byte {error.start + 1}", where=str(path)) from error
    words = [line.strip() for line in lines if line.strip()]
    if not words:
        raise ModelError("holds no word", where=str(path), allowed="one word a line")
    return words


def _compare(rows: Path, files: BaseFiles, other: Path | None) -> FertilityReport:
    """Measure the base's tokenizer, and that in `other`. Raises DatasetError where the rows hold no text."""
    tokenizers = [(files.name, load_tokenizer(files))]
    if other is not None:
        tokenizers.append((str(other), tokenizer_in(other)))
    measured = [MeasuredTokenizer(name, len(each), fertility(each, training_texts(rows))) for name, each in tokenizers]
    if not measured[0].fertility.words:
        raise DatasetError("the training rows hold no words", where=rows.name)
    return FertilityReport(rows.name, measured[0], measured[1] if len(measured) > 1 else None)


def _new(folder: str | Path) -> Path:
    path = Path(folder)
    if path.exists():
        raise ModelError("there is something already", where=str(path), allowed="a new folder")
    return path
