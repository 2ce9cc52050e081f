"""What is minimised for each task, beside what transformers computes of the same rows."""

import math

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from luthier.core.recipe import AdapterSection, TrainingSection
from luthier.core.rows import LabelledTokens
from luthier.models.adapter import trainable
from luthier.models.classifier import Classifier, load_classifier
from luthier.models.loading import load_tokenizer
from luthier.models.masking import HELD_OUT, MaskedLoss, MaskedRow, load_masked
from luthier.models.methods import prepare
from luthier.models.sources import BaseFiles
from luthier.training import Checkpoint, LabelObjective, MaskedObjective, MasterWeights, Schedule, Training, fit
from luthier.training.loop import ADAM_BETAS

LABELS = ("card", "delivery", "refund")
SETTINGS = {"learning_rate": 5e-3, "num_train_epochs": 2, "packing": False, "eval_steps": 1000}


@pytest.fixture
def texts(random_rows):
    return [
        LabelledTokens(row.id, row.input_ids, number % 3)
        for number, row in enumerate(random_rows((9, 14, 3, 5, 17, 12, 30, 8, 19, 11), vocabulary=100))
    ]


@pytest.fixture
def new_training(tiny_encoder_folder, texts):
    """`new_training(adapter, validation=(), **settings)` of a classifier in fp64, from the same weights always."""

    def new(adapter, validation=(), **settings):
        section = TrainingSection(**SETTINGS | settings)
        files = BaseFiles("tiny-bert", tiny_encoder_folder, "")
        head = load_classifier(files, LABELS, "float32", section.seed, padding=0)
        model = prepare(head.model, AdapterSection(**adapter), section.seed, head.weights).to(torch.float64)
        objective = LabelObjective(Classifier(model).logits)
        weights, schedule = MasterWeights(trainable(model)), Schedule.of(texts, section, 64)
        return model, Training(objective, weights, schedule, tuple(validation), section)

    return new


@pytest.mark.parametrize(
    ("adapter", "settings"),
    [
        ({"method": "full"}, {"per_device_train_batch_size": 4}),
        ({"method": "full"}, {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 2}),
        ({"method": "freeze", "last_layers": 1}, {"packing": True, "per_device_train_batch_size": 1}),
        ({"r": 4, "lora_alpha": 8}, {"per_device_train_batch_size": 4, "weight_decay": 0.1}),
    ],
    ids=str,
)
def test_a_classifier_trains_as_transformers_and_peft_alone_do(new_training, tmp_path, adapter, settings):
    _, ours = new_training(adapter, **settings)
    model, plain = new_training(adapter, **settings)
    seen = []
    state = fit(ours, Checkpoint(tmp_path), False, lambda _: seen.append(_copied(ours)))
    expected = list(_plain_loop(model, plain))
    assert len(expected) == len(seen) >= 4
    for point, weights, (loss, plain_weights) in zip(state.train_curve, seen, expected, strict=True):
        assert point["loss"] == pytest.approx(loss, abs=1e-9)
        for name in weights:
            torch.testing.assert_close(weights[name], plain_weights[name], atol=1e-7, rtol=0)


def _copied(training):
    return {name: parameter.detach().clone() for name, parameter in training.parameters.items()}


def _plain_loop(model, training):
    """(loss, weights) of each step with one padded batch and the loss that transformers computes."""
    parameters, settings = list(training.parameters.values()), training.settings
    optimizer = torch.optim.AdamW(parameters, lr=0.0, betas=ADAM_BETAS, weight_decay=settings.weight_decay)
    for number, step in enumerate(training.schedule.steps):
        optimizer.param_groups[0]["lr"] = training.schedule.learning_rate_at(number)
        optimizer.zero_grad()
        batch = [text for micro in step for text in micro]
        width = max(map(len, batch))
        loss = model(
            input_ids=torch.tensor([[*text.input_ids, *[0] * (width - len(text))] for text in batch]),
            attention_mask=torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in batch]),
            labels=torch.tensor([text.label for text in batch]),
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, settings.max_grad_norm)
        optimizer.step()
        yield loss.item(), _copied(training)


def test_validation_tells_how_many_labels_are_right(texts):
    """Of three labels, the second is taken for the first, and the third is not there."""
    examples = [text for text in texts if text.label < 2]
    logits = torch.tensor([3.0, 1.0, 0.0]).repeat(len(examples), 1)
    figures = LabelObjective(lambda _: logits).validation(examples)
    first = sum(text.label == 0 for text in examples)
    labels = torch.tensor([text.label for text in examples])
    assert figures["loss"] == pytest.approx(F.cross_entropy(logits, labels).item())
    assert figures["accuracy"] == first / len(examples)
    assert figures["macro_f1"] == pytest.approx((2 * first / (first + len(examples)) + 0) / 2)
    assert math.isfinite(figures["loss"])


def test_without_texts_there_is_nothing_to_validate():
    assert LabelObjective(lambda _: torch.zeros(0, 3)).validation(()) is None


@pytest.fixture
def masked(tiny_encoder_folder, random_rows):
    """An objective over the tiny encoder with a head that predicts words, and rows of which half may be masked."""
    files = BaseFiles("tiny-bert", tiny_encoder_folder, "")
    tokenizer = load_tokenizer(files)
    loss = MaskedLoss(load_masked(files, "float32", 0).model, tokenizer)
    rows = random_rows((9, 24, 3, 40, 17), vocabulary=len(tokenizer))
    return MaskedObjective(loss), [MaskedRow(row, HELD_OUT) for row in rows]


def test_masked_losses_are_a_mean_over_the_masked_tokens_of_the_step(masked):
    objective, rows = masked
    loss_of = objective.step(rows)
    apart = sum(loss_of([row]).item() for row in rows)
    figures = objective.validation(rows)
    assert loss_of(rows).item() == pytest.approx(apart, rel=1e-5)
    assert figures["loss"] == pytest.approx(apart, rel=1e-5)
    assert 0 <= figures["accuracy"] <= 1
    right = figures["accuracy"] * sum(row.target_tokens for row in rows)
    assert right == pytest.approx(round(right))


def test_without_a_word_that_may_be_masked_there_is_nothing_to_validate(masked):
    assert masked[0].validation([]) is None
