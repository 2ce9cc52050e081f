"""The nouns of the life cycle. An artefact is immutable, has an id made from its content, and knows its parents."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

FORMAT_VERSION = 1
"""Version of the folders and summaries that this package writes; stored with each artefact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """What every artefact has.

    `path` is where its files lie (relative to the workspace where they are inside it), None if it has none.
    `summary` holds the figures that listings show; plain JSON values only.
    """

    kind: ClassVar[str]

    id: str
    parents: tuple[str, ...] = ()
    path: Path | None = None
    summary: Mapping[str, object] = field(default_factory=dict)


class Source(Artefact):
    """A raw file that somebody put in, by the digest of its bytes."""

    kind = "source"


class Dataset(Artefact):
    """Cleaned, formatted rows in splits, with the ledger of what became of each record."""

    kind = "dataset"


class BaseModel(Artefact):
    """The weights and tokenizer that training starts from, or the encoder that told what texts mean, by the digest of
    their files."""

    kind = "base"


class HealthReport(Artefact):
    """Whether a base model loads, has a sane first loss and can learn rows of a dataset."""

    kind = "health"


class Plan(Artefact):
    """What a training will need: memory, time, money; and whether the data suffices."""

    kind = "plan"


class Run(Artefact):
    """One finished training: adapter or weights, curves, environment."""

    kind = "run"


class Evaluation(Artefact):
    """Metrics of a run beside those of what it is compared with, and the verdict of the gates."""

    kind = "evaluation"


class Release(Artefact):
    """The decision to let an alias point to a run, with the evaluation that allowed it."""

    kind = "release"


class Feedback(Artefact):
    """A person's judgement of one answer, with the correction if there is one."""

    kind = "feedback"


ARTEFACT_TYPES: Mapping[str, type[Artefact]] = {
    cls.kind: cls for cls in (Source, Dataset, BaseModel, HealthReport, Plan, Run, Evaluation, Release, Feedback)
}
