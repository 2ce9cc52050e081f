"""Labels given to held-out texts: how many are right, for each label alike, which are taken for which, and whether a
model is as often right as it is sure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from luthier.evaluation.statistics import Numbers

CALIBRATION_BINS = 10


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The label that a text has, the one that a model gave it, and the probability that it gave that, in 0..1."""

    row_id: str
    expected: str
    given: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """`count` texts of the label `expected` were given another one, of `of` that there are."""

    expected: str
    given: str
    count: int
    of: int

    def to_json(self) -> dict[str, object]:
        return {"expected": self.expected, "given": self.given, "count": self.count, "of": self.of}


def worst_confusions(scores: Sequence[LabelScore], most: int = 10) -> list[Confusion]:
    """The pairs of labels that are confused most often, the worst first."""
    texts = Counter(score.expected for score in scores)
    pairs = Counter((score.expected, score.given) for score in scores if score.expected != score.given)
    ordered = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))
    return [Confusion(expected, given, count, texts[expected]) for (expected, given), count in ordered[:most]]


def label_columns(scores: Sequence[LabelScore], labels: Sequence[str]) -> Numbers:
    """What `macro_f1` sums, shape [texts, 3 x labels]: for each label whether a text was rightly given it, was given
    it, and has it. In the order of the ids, so that two models pair."""
    numbers = {label: number for number, label in enumerate(labels)}
    columns = np.zeros((len(scores), 3, len(labels)))
    for place, score in enumerate(sorted(scores, key=lambda score: score.row_id)):
        given, expected = numbers[score.given], numbers[score.expected]
        columns[place, 0, given] = given == expected
        columns[place, 1, given] = columns[place, 2, expected] = 1
    return columns.reshape(len(scores), 3 * len(labels))


def macro_f1(sums: Numbers) -> Numbers:
    """The mean over labels of F1, of summed `label_columns`; labels that no text has or was given are left out."""
    right, given, expected = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    either = given + expected
    f1 = np.divide(2 * right, either, out=np.zeros_like(either), where=either > 0)
    mean: Numbers = f1.sum(axis=-1) / (either > 0).sum(axis=-1)
    return mean


def calibration_columns(scores: Sequence[LabelScore]) -> Numbers:
    """What `calibration_error` sums, shape [texts, CALIBRATION_BINS + 1]: by how much a model was less sure of a text
    than right (1) or wrong (0), in the column of its confidence, and 1. In the order of the ids."""
    columns = np.zeros((len(scores), CALIBRATION_BINS + 1))
    columns[:, -1] = 1
    for place, score in enumerate(sorted(scores, key=lambda score: score.row_id)):
        column = min(int(score.confidence * CALIBRATION_BINS), CALIBRATION_BINS - 1)
        columns[place, column] = (score.given == score.expected) - score.confidence
    return columns


def calibration_error(sums: Numbers) -> Numbers:
    """Expected calibration error, of summed `calibration_columns`: texts are put into bins of like confidence; the mean
    over texts of how far the mean confidence of their bin lies from the share that is right there.

    Source: Naeini et al. 2015, Obtaining Well Calibrated Probabilities Using Bayesian Binning.
    """
    error: Numbers = np.abs(sums[..., :-1]).sum(axis=-1) / sums[..., -1]
    return error
