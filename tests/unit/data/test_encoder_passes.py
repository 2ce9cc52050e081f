"""Passes that need an encoder run when the recipe asks for them, and drop or flag as it says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from luthier.core.recipe import CleanSection
from luthier.core.rows import Origin, Row
from luthier.data.encoder_passes import encoder_passes, needs_encoder
from luthier.data.semantic import Vectors

ANGLES = {"card": 0.0, "my card": 0.1, "refund": 1.5}


def embed(texts: Sequence[str]) -> Vectors:
    """Vectors of the plane, each text at its angle."""
    angles = np.array([ANGLES.get(text, 0.0) for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_nothing_is_looked_for_by_default(tmp_path: Path) -> None:
    assert not needs_encoder(CleanSection())
    assert list(encoder_passes(CleanSection(), None, tmp_path)) == []


@pytest.mark.parametrize("asked", [{"semantic_duplicates": 0.9}, {"label_noise": "flag"}])
def test_what_needs_vectors_is_not_left_out_silently(tmp_path: Path, asked: dict[str, object]) -> None:
    clean = CleanSection.model_validate(asked)
    assert needs_encoder(clean)
    with pytest.raises(ValueError, match="need `embed`"):
        encoder_passes(clean, None, tmp_path)


@pytest.mark.parametrize(("threshold", "expected"), [(0.99, {1}), (0.9999, set())])
def test_the_threshold_is_that_of_the_recipe(tmp_path: Path, threshold: float, expected: set[int]) -> None:
    [only] = encoder_passes(CleanSection(semantic_duplicates=threshold), embed, tmp_path)
    rows = [(number, Row(f"r{number}", Origin("f", number), text=text)) for number, text in enumerate(ANGLES)]
    assert only.drops
    assert set(only.find(rows)) == expected


@pytest.mark.parametrize("choice", ["flag", "drop"])
def test_wrong_labels_are_flagged_or_dropped(tmp_path: Path, choice: str) -> None:
    clean = CleanSection.model_validate({"label_noise": choice})
    [only] = encoder_passes(clean, embed, tmp_path)
    texts = [("card", "payment")] * 20 + [("refund", "money back")] * 20 + [("refund", "payment")]
    rows = [
        (number, Row(f"r{number}", Origin("f", 1), text=text, label=name)) for number, (text, name) in enumerate(texts)
    ]
    assert only.drops is (choice == "drop")
    [(index, remark)] = only.find(rows).items()
    assert index == 40
    assert remark.startswith("label noise: payment looks like money back, ")
