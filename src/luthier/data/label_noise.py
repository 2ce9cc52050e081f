"""Wrong labels: rows that an honest classifier, which never saw them, would put into another class.

Confident learning (Northcutt, Jiang and Chuang 2021, Confident Learning: Estimating Uncertainty in Dataset Labels,
JAIR 70). Probabilities come from logistic regression on the vectors of an encoder, of each row by the model of a fold
that did not learn from it. They give the confident joint, it gives how many labels of each class are wrong, and these
are the rows of the class whose own label is the least probable ("prune by class").
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from luthier.core.rows import Row
from luthier.data.semantic import Embed, Vectors, request_and_answer

Places = npt.NDArray[np.int64]
Halves = npt.NDArray[np.float16]
Mask = npt.NDArray[np.bool_]

FOLDS = 5
FEWEST_ROWS = 2 * FOLDS
"""Rows of a class with fewer are neither learned from nor judged."""
MOST_LEARNED = 50_000
"""Rows that the model of a fold learns from at most."""
INVERSE_REGULARISATION = 10.0
"""scikit-learn's C, for vectors of length 1."""
ROWS_PER_BLOCK = 4_096


def label_noise(
    rows: Iterable[tuple[int, Row]], embed: Embed, progress: Callable[[str], None] = lambda _: None
) -> dict[int, str]:
    """{index: remark} of rows whose label is likely wrong, such as `label noise: refund looks like delivery, 91%`.

    The percentage is the probability of the likely label. `rows` without a label are left alone. Memory holds the
    vectors in half precision: 2 bytes a labelled row and dimension.
    """
    indices, names, vectors = _embed_labelled(rows, embed, progress)
    counts = Counter(names)
    classes = sorted(name for name, count in counts.items() if count >= FEWEST_ROWS)
    if len(classes) < 2:
        return {}
    number_of = {name: number for number, name in enumerate(classes)}
    judged = np.array([place for place, name in enumerate(names) if name in number_of], np.int64)
    labels = np.array([number_of[names[place]] for place in judged], np.int64)
    progress(f"looking for wrong labels among {len(judged):,} rows of {len(classes):,} classes")
    probabilities = out_of_sample_probabilities(vectors[judged], labels, len(classes))
    found = {}
    for row in np.flatnonzero(likely_wrong(probabilities, labels)):
        likely = int(probabilities[row].argmax())
        share = f"{probabilities[row, likely]:.0%}"
        found[indices[judged[row]]] = f"label noise: {classes[labels[row]]} looks like {classes[likely]}, {share}"
    return found


def out_of_sample_probabilities(vectors: Halves | Vectors, labels: Places, classes: int) -> Vectors:
    """float32 [rows, classes]: of each row by a model that learned from the other folds.

    `vectors` is [rows, dimension], `labels` int [rows] in range(classes), each class with at least two rows. The rows
    of a class are dealt to the folds in turn.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    folds = _deal(labels, FOLDS)
    probabilities = np.zeros((len(labels), classes), np.float32)
    with threadpool_limits(1):  # sums in another order would move probabilities from machine to machine
        for fold in range(FOLDS):
            others = _spread(np.flatnonzero(folds != fold), labels)
            model = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=200)
            model.fit(vectors[others].astype(np.float64), labels[others])
            held_out = np.flatnonzero(folds == fold)
            for start in range(0, len(held_out), ROWS_PER_BLOCK):
                block = held_out[start : start + ROWS_PER_BLOCK]
                probabilities[np.ix_(block, model.classes_)] = model.predict_proba(vectors[block].astype(np.float64))
    return probabilities


def likely_wrong(probabilities: Vectors, labels: Places) -> Mask:
    """Which rows' labels are likely wrong, bool [rows]; of `probabilities` [rows, classes], out of sample.

    Of each class the share that the confident joint takes for wrong, the least probable labels first; never a row
    whose own label is the most probable one.
    """
    joint = confident_joint(probabilities, labels)
    sizes = np.bincount(labels, minlength=probabilities.shape[1])
    totals = joint.sum(axis=1)
    wrong = np.where(totals > 0, sizes * (1 - joint.diagonal() / np.maximum(totals, 1)), 0)
    own = probabilities[np.arange(len(labels)), labels]
    found = np.zeros(len(labels), np.bool_)
    for name, count in enumerate(np.rint(wrong).astype(int)):
        members = np.flatnonzero(labels == name)
        found[members[np.argsort(own[members], kind="stable")[:count]]] = True
    mask: Mask = found & (probabilities.argmax(axis=1) != labels)
    return mask


def confident_joint(probabilities: Vectors, labels: Places) -> Places:
    """int [classes, classes]: how many rows with this label confidently belong to that class (equation 1 there).

    A row confidently belongs to the likeliest class that is at least as probable for it as, on average, for the rows
    that have it as their label. A row without any such class does not count.
    """
    classes = probabilities.shape[1]
    sizes = np.bincount(labels, minlength=classes)
    own = probabilities[np.arange(len(labels)), labels]
    means = np.bincount(labels, weights=own, minlength=classes) / np.maximum(sizes, 1)
    thresholds = np.where(sizes > 0, means, np.inf)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    best = confident.argmax(axis=1)
    counted = confident.max(axis=1) >= 0
    joint = np.zeros((classes, classes), np.int64)
    np.add.at(joint, (labels[counted], best[counted]), 1)
    return joint


def _embed_labelled(
    rows: Iterable[tuple[int, Row]], embed: Embed, progress: Callable[[str], None]
) -> tuple[list[int], list[str], Halves]:
    """Indices, labels and vectors, float16 [rows, dimension], of the rows that have a label."""
    indices: list[int] = []
    names: list[str] = []
    blocks: list[Halves] = []
    labelled = ((index, row) for index, row in rows if row.label is not None)
    for batch in _batches(labelled, ROWS_PER_BLOCK):
        blocks.append(embed([_text(row) for _, row in batch]).astype(np.float16))
        indices += [index for index, _ in batch]
        names += [str(row.label) for _, row in batch]
        progress(f"embedded {len(indices):,} labelled rows")
    return indices, names, np.concatenate(blocks) if blocks else np.empty((0, 0), np.float16)


def _text(row: Row) -> str:
    return "\n".join(part for part in request_and_answer(row) if part)


def _batches(rows: Iterator[tuple[int, Row]], size: int) -> Iterator[Sequence[tuple[int, Row]]]:
    while batch := list(islice(rows, size)):
        yield batch


def _deal(labels: Places, folds: int) -> Places:
    """int [rows]: the fold of each row; a class's rows go to the folds in turn, each class starting at another."""
    dealt = np.empty(len(labels), np.int64)
    for name in np.unique(labels):
        members = np.flatnonzero(labels == name)
        dealt[members] = (np.arange(len(members)) + name) % folds
    return dealt


def _spread(places: Places, labels: Places) -> Places:
    """At most `MOST_LEARNED` of the places, evenly over the classes and over each class."""
    if len(places) <= MOST_LEARNED:
        return places
    ordered = places[np.argsort(labels[places], kind="stable")]
    return np.sort(ordered[np.linspace(0, len(ordered) - 1, MOST_LEARNED).astype(np.int64)])
