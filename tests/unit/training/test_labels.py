"""Targets are predicted from where they should be, or it is said."""

import pytest
import torch

from luthier.core.recipe import AdapterSection
from luthier.core.rows import LabelledTokens, TokenRow
from luthier.models.losses import RowsLoss
from luthier.models.masking import HELD_OUT, MaskedLoss, MaskedRow
from luthier.models.methods import prepare
from luthier.training import CausalObjective, LabelObjective, MaskedObjective, check_labels, plain_logits


def _loss(objective, example):
    return float(objective.step([example])([example]).detach())


@pytest.fixture
def sharp(tiny_model):
    """The tiny model, surer of what it says, so that other labels have another loss."""
    with torch.no_grad():
        for parameter in tiny_model.parameters():
            parameter.mul_(100 if parameter.dim() > 1 else 1)
    return tiny_model


def test_the_loss_of_each_kind_of_row_is_that_of_its_targets(sharp, random_rows):
    [row] = random_rows((20,))
    adapted = prepare(sharp, AdapterSection(r=4), 0)
    objective = CausalObjective(RowsLoss(adapted))
    assert objective.fast_path == "on"
    found = check_labels(_loss(objective, row), adapted, objective.prediction(row))
    assert (found.check, found.verdict, found.advice) == ("labels", "pass", "")


@pytest.mark.parametrize("offset", [-1, 1])
def test_labels_shifted_by_one_are_named(sharp, random_rows, offset):
    [row] = random_rows((12,))
    objective = CausalObjective(RowsLoss(sharp))
    logits, prediction = plain_logits(sharp, row.input_ids), objective.prediction(row)
    places = [min(place + offset, len(row) - 1) for place in prediction.places]
    shifted = torch.nn.functional.cross_entropy(logits[places], torch.tensor(prediction.labels))
    found = check_labels(float(shifted), sharp, prediction)
    assert found.verdict == "fail"
    assert "shifted by one" in found.advice


def test_another_loss_is_not_taken_for_shifted_labels(sharp, random_rows):
    [row] = random_rows((40,))
    objective = CausalObjective(RowsLoss(sharp))
    found = check_labels(0.5 * _loss(objective, row), sharp, objective.prediction(row))
    assert found.verdict == "fail"


def test_masked_words_and_labels_are_looked_at_too(tiny_encoder_folder):
    from luthier.models.classifier import Classifier, load_classifier
    from luthier.models.loading import load_tokenizer
    from luthier.models.masking import load_masked
    from luthier.models.sources import BaseFiles

    files = BaseFiles("bert", tiny_encoder_folder, "")
    tokenizer = load_tokenizer(files)
    masked = MaskedLoss(load_masked(files, "float32", 0).model, tokenizer)
    ids = tuple(tokenizer("Returns are free within 30 days; the refund takes about 5 working days.")["input_ids"])
    example = MaskedRow(TokenRow("row", ids, tuple(0 < place < len(ids) - 1 for place in range(len(ids)))), HELD_OUT)
    objective = MaskedObjective(masked)
    prediction = objective.prediction(example)
    assert tokenizer.mask_token_id in prediction.input_ids
    assert check_labels(_loss(objective, example), masked.model, prediction).verdict == "pass"

    classifier = Classifier(load_classifier(files, ("a", "b"), "float32", 0, None).model)
    labelled, objective = LabelledTokens("row", ids, 1), LabelObjective(classifier.logits)
    assert check_labels(_loss(objective, labelled), classifier.model, objective.prediction(labelled)).verdict == "pass"
