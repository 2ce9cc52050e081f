"""Planted wrong labels are found, right ones are left alone."""

import numpy as np
import pytest

from luthier.core.rows import Origin, Row
from luthier.data import label_noise as module
from luthier.data.label_noise import confident_joint, label_noise, likely_wrong, out_of_sample_probabilities
from luthier.data.semantic import Embed, Vectors

CLASSES = ("card", "delivery", "refund", "returns")


def clusters(seed: int, count: int, spread: float = 0.2) -> tuple[Vectors, np.ndarray]:
    """Vectors of length 1 around one centre a class, and the class of each."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(len(CLASSES), 16))
    truth = draw.integers(0, len(CLASSES), count)
    vectors = centres[truth] + spread * np.linalg.norm(centres, axis=1).mean() / 4 * draw.normal(size=(count, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def flipped(truth: np.ndarray, share: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which a share is wrong, and which ones."""
    draw = np.random.default_rng(seed)
    wrong = draw.random(len(truth)) < share
    labels = np.where(wrong, (truth + draw.integers(1, len(CLASSES), len(truth))) % len(CLASSES), truth)
    return labels, wrong


def labelled_rows(labels: np.ndarray, vectors: Vectors) -> tuple[list[tuple[int, Row]], Embed]:
    rows = [
        (2 * place, Row(f"row-{place}", Origin("raw/a.csv", place + 1), text=str(place), label=CLASSES[label]))
        for place, label in enumerate(labels)
    ]
    return rows, lambda texts: vectors[[int(text) for text in texts]]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.2])
def test_planted_flips_are_found(share: float) -> None:
    vectors, truth = clusters(0, 600)
    labels, wrong = flipped(truth, share)
    rows, embed = labelled_rows(labels, vectors)
    found = label_noise(rows, embed)
    planted = {2 * int(place) for place in np.flatnonzero(wrong)}
    assert len(planted & set(found)) >= 0.95 * len(planted)
    assert len(planted & set(found)) >= 0.95 * len(found)
    for index in planted & set(found):
        told = f"label noise: {CLASSES[labels[index // 2]]} looks like {CLASSES[truth[index // 2]]}, "
        assert found[index].startswith(told)
        assert found[index].endswith("%")


def test_clean_labels_give_no_remark() -> None:
    vectors, truth = clusters(2, 300)
    assert label_noise(*labelled_rows(truth, vectors)) == {}


def test_unlabelled_rows_and_rare_classes_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS_PER_BLOCK", 64)
    vectors, truth = clusters(3, 300)
    labels, _ = flipped(truth, 0.1)
    rows, embed = labelled_rows(labels, vectors)
    expected = label_noise(rows, embed)
    assert expected
    rare = [(number, Row(f"rare-{number}", Origin("raw/b.csv", number), text="0", label="rare")) for number in (1, 3)]
    plain = [(5, Row("plain", Origin("raw/b.csv", 9), text="0"))]
    assert label_noise(sorted([*rows, *rare, *plain], key=lambda pair: pair[0]), embed) == expected


@pytest.mark.parametrize("names", [[], ["card"] * 40, [*["card"] * 40, *["refund"] * (module.FEWEST_ROWS - 1)]])
def test_fewer_than_two_classes_cannot_be_judged(names: list[str]) -> None:
    rows = [(place, Row(f"r{place}", Origin("f", place), text="t", label=name)) for place, name in enumerate(names)]
    assert label_noise(rows, lambda texts: np.ones((len(texts), 4), np.float32) / 2) == {}


def test_no_row_is_judged_by_a_model_that_learned_from_it() -> None:
    """With vectors of pure noise, labels that were learned from would be recalled better than by chance."""
    draw = np.random.default_rng(4)
    vectors = draw.normal(size=(200, 300)).astype(np.float32)
    labels = draw.integers(0, 2, 200)
    probabilities = out_of_sample_probabilities(vectors, labels, 2)
    assert (probabilities.argmax(axis=1) == labels).mean() < 0.65
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


def test_learning_from_a_sample_finds_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, truth = clusters(5, 600)
    labels, wrong = flipped(truth, 0.1)
    monkeypatch.setattr(module, "MOST_LEARNED", 150)
    found = likely_wrong(out_of_sample_probabilities(vectors, labels, len(CLASSES)), labels)
    assert (found & wrong).sum() >= 0.9 * max(wrong.sum(), found.sum())


def test_the_confident_joint_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7], [0.6, 0.4]], np.float32)
    labels = np.array([0, 0, 0, 1, 1, 1])
    # Thresholds: class 0 (0.9 + 0.7 + 0.2) / 3 = 0.6, class 1 (0.9 + 0.7 + 0.4) / 3 = 0.667.
    assert confident_joint(probabilities, labels).tolist() == [[2, 1], [1, 2]]
    assert likely_wrong(probabilities, labels).tolist() == [False, False, True, False, False, True]


def test_a_row_below_every_threshold_does_not_count() -> None:
    probabilities = np.array([[0.9, 0.1], [0.55, 0.45], [0.1, 0.9], [0.2, 0.8]], np.float32)
    assert confident_joint(probabilities, np.array([0, 0, 1, 1])).tolist() == [[1, 0], [0, 1]]
