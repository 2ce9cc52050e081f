"""The same figures for parts of the rows and questions: a good average can hide a bad part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from luthier.evaluation.losses import loss_columns
from luthier.evaluation.measured import HeldOutRow, Measured
from luthier.evaluation.metrics import METRIC_OF, HeldOut
from luthier.evaluation.statistics import Interval, Numbers, paired_figure_difference

FEWEST_EXAMPLES = 5
"""A part of fewer examples is left out: its interval would not be believed."""
SHORT_WORDS, LONG_WORDS = 40, 120
"""A row of up to so many words is short; one of more than so many is long."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One part by `by` (topic, language, length, source), and a metric of both models on it."""

    by: str
    name: str
    metric: str
    examples: int
    candidate: Interval
    reference: Interval
    difference: Interval

    def to_json(self) -> dict[str, object]:
        return {
            "by": self.by,
            "name": self.name,
            "metric": self.metric,
            "examples": self.examples,
            "candidate": self.candidate.to_json(),
            "reference": self.reference.to_json(),
            "difference": self.difference.to_json(),
        }


def find_slices(candidate: Measured, reference: Measured, held_out: HeldOut) -> list[Slice]:
    """Facts recalled by topic of the question; test loss by source, language and length of the row.

    Left out are parts of fewer than `FEWEST_EXAMPLES`, and a division that leaves but one.
    """
    slices: list[Slice] = []
    topics = [score.topic for score in candidate.answers]
    recalled = [_shares([score.recalled for score in one.answers]) for one in (candidate, reference)]
    slices += _divide("topic", "facts_recalled", topics, *recalled)
    if candidate.test and reference.test and not candidate.labels:
        rows = [held_out.get(row.row_id) for row in sorted(candidate.test, key=lambda row: row.row_id)]
        losses = [loss_columns(one.test) for one in (candidate, reference)]
        for by, name_of in _PARTS:
            slices += _divide(by, "test_loss", [name_of(row) if row else "" for row in rows], *losses)
    return slices


def length_name(words: int) -> str:
    """The part that a row of so many words belongs to."""
    if words <= SHORT_WORDS:
        return f"up to {SHORT_WORDS} words"
    return f"{SHORT_WORDS + 1} to {LONG_WORDS} words" if words <= LONG_WORDS else f"more than {LONG_WORDS} words"


_PARTS: tuple[tuple[str, Callable[[HeldOutRow], str]], ...] = (
    ("source", lambda row: row.source),
    ("language", lambda row: row.language),
    ("length", lambda row: length_name(row.words)),
)


def _shares(hits: Sequence[bool]) -> Numbers:
    return np.array([(hit, 1) for hit in hits], np.float64)


def _divide(by: str, metric: str, names: Sequence[str], ours: Numbers, theirs: Numbers) -> list[Slice]:
    """One slice a name; examples without a name are in none."""
    measure = METRIC_OF[metric]
    slices = []
    for name in sorted(set(names) - {""}):
        places = np.array([other == name for other in names])
        if places.sum() >= FEWEST_EXAMPLES:
            slices.append(
                Slice(
                    by,
                    name,
                    metric,
                    int(places.sum()),
                    measure.interval(ours[places]),
                    measure.interval(theirs[places]),
                    paired_figure_difference(ours[places], theirs[places], measure.figure),
                )
            )
    return slices if len(slices) > 1 else []
