"""Labels given to held-out texts: how many are right, for each label alike, and which are taken for which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from luthier.evaluation.statistics import Numbers


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The label that a text has and the one that a model gave it."""

    row_id: str
    expected: str
    given: str


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
